/** Models of the types that people run: random weights of real shapes, quantized by llama.cpp's own program. */
import { execFileSync } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import type { WriteProgress } from '../fixtures/gguf-writer.ts';
import { buildPeer } from '../peers/llama-cpp.ts';
import { type ShapeName, writeShape } from './shapes.ts';

export const weightNames = [
  'F32',
  'F16',
  'BF16',
  'Q8_0',
  'Q6_K',
  'Q5_K_M',
  'Q4_K_M',
  'Q4_0',
  'Q4_1',
  'IQ4_XS',
] as const;
export type WeightName = (typeof weightNames)[number];

/** Writes the model unless the file exists; returns its path. */
export async function benchModel(
  shapeName: ShapeName,
  weightName: WeightName,
  onProgress?: WriteProgress,
): Promise<string> {
  if (weightName === 'F32' || weightName === 'F16' || weightName === 'Q8_0') {
    return await writeShape(shapeName, weightName, onProgress);
  }
  const source = await writeShape(shapeName, 'F16', onProgress);
  const path = source.replace(/\.gguf$/, `-${weightName.toLowerCase()}.gguf`);
  if (existsSync(path)) return path;
  const { path: program, folder } = buildPeer('llama-quantize');
  const partial = `${path}.${process.pid}.partial`;
  execFileSync(program, [source, partial, weightName], { cwd: folder, stdio: 'pipe' });
  renameSync(partial, path);
  return path;
}
