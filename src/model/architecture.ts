import { StartError } from '../core/start-error.ts';
import type { GgufValue } from './gguf-header.ts';

/** Architectures that do not generate text token by token, and what they are. */
const otherArchitectures: ReadonlyMap<string, string> = new Map([
  ['clip', 'the vision part of a multimodal model'],
  ['mmproj', 'the vision part of a multimodal model'],
  ['whisper', 'a speech recognition model'],
  ['wavtokenizer-dec', 'an audio decoder'],
  ['qwen3tts', 'a speech synthesis model'],
  ['pockettts', 'a speech synthesis model'],
  ['t5', 'an encoder-decoder model'],
  ['t5encoder', 'the encoder of an encoder-decoder model'],
  ['dream', 'a diffusion model'],
  ['llada', 'a diffusion model'],
  ['llada-moe', 'a diffusion model'],
  ['rnd1', 'a diffusion model'],
  ['eagle3', 'a draft model for speculative decoding'],
  ['dflash', 'a draft model for speculative decoding'],
  ['gemma4-assistant', 'a draft model for speculative decoding'],
  ['sd1', 'an image generation model'],
  ['sdxl', 'an image generation model'],
  ['sd3', 'an image generation model'],
  ['flux', 'an image generation model'],
  ['qwen_image', 'an image generation model'],
  ['wan', 'a video generation model'],
]);

/** Values of `general.type` of files that are not models, and what they are. */
const otherFileTypes: ReadonlyMap<string, string> = new Map([
  ['adapter', 'a LoRA adapter'],
  ['imatrix', 'an importance matrix'],
  ['mmproj', 'the vision part of a multimodal model'],
]);

/**
 * The file's architecture, if it generates or embeds text.
 * @throws {StartError} exit code 1
 */
export function checkServable(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensorCount: number,
): string {
  const fileType = otherFileTypes.get(textOf(metadata, 'general.type') ?? 'model');
  if (fileType !== undefined) throw unservable(path, `is ${fileType}, not a text model`);
  const architecture = textOf(metadata, 'general.architecture');
  if (architecture === undefined) {
    throw unservable(path, 'does not say its architecture (general.architecture is missing)');
  }
  if (tensorCount === 0) {
    throw unservable(path, 'holds a vocabulary only, no weights; it cannot generate text');
  }
  const kind = otherArchitectures.get(architecture);
  if (kind !== undefined) throw unservable(path, `is ${kind} (${architecture}), not a text model`);
  return architecture;
}

function textOf(metadata: ReadonlyMap<string, GgufValue>, key: string): string | undefined {
  const value = metadata.get(key);
  return typeof value === 'string' ? value : undefined;
}

function unservable(path: string, reason: string): StartError {
  return new StartError(1, `${path} ${reason}`);
}
