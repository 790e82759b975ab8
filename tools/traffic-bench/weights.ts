/** Models of the types that people run: random weights of real shapes, quantized by llama.cpp's own program. */
import { execFileSync } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { benchModel, type ShapeName } from '../engine-bench/model.ts';
import type { WriteProgress } from '../fixtures/gguf-writer.ts';
import { buildPeer } from './peer.ts';

export const weightNames = [
  'F16',
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
export async function modelOf(
  shapeName: ShapeName,
  weightName: WeightName,
  onProgress?: WriteProgress,
): Promise<string> {
  if (weightName === 'Q8_0') return await benchModel(shapeName, 'Q8_0', onProgress);
  const source = await benchModel(shapeName, 'F16', onProgress);
  if (weightName === 'F16') return source;
  const path = source.replace(/\.gguf$/, `-${weightName.toLowerCase()}.gguf`);
  if (existsSync(path)) return path;
  const { path: program, folder } = buildPeer('llama-quantize');
  const partial = `${path}.${process.pid}.partial`;
  execFileSync(program, [source, partial, weightName], { cwd: folder, stdio: 'pipe' });
  renameSync(partial, path);
  return path;
}
