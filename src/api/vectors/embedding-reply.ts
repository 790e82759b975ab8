import { setImmediate } from 'node:timers/promises';
import type { EmbeddingList, EncodingFormat } from './embedding-shapes.ts';

/** Numbers written in one turn of the event loop, about 5 milliseconds. */
const burstLength = 32_768;

/**
 * An {@link EmbeddingList} as JSON text, written over several turns of the event loop: two thousand vectors take
 * seconds, and other requests stream their tokens meanwhile.
 */
export async function embeddingListText(
  vectors: readonly Float32Array[],
  encodingFormat: EncodingFormat,
  { model, usage }: Pick<EmbeddingList, 'model' | 'usage'>,
): Promise<string> {
  const items: string[] = [];
  let written = 0;
  for (const [index, vector] of vectors.entries()) {
    const embedding = encodingFormat === 'base64' ? `"${toBase64(vector)}"` : `[${vector.join()}]`;
    items.push(`{"object":"embedding","index":${index},"embedding":${embedding}}`);
    written += vector.length;
    if (written >= burstLength) {
      written = 0;
      await setImmediate();
    }
  }
  const rest = JSON.stringify({ model, usage }).slice(1);
  return `{"object":"list","data":[${items.join()}],${rest}`;
}

/** Little-endian, like every platform that Node.js and llama.cpp share. */
function toBase64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
