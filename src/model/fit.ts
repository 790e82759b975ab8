import { StartError } from '../core/start-error.ts';

/** The values that determine the memory of a context. */
export interface ContextShape {
  readonly slotCount: number;
  /** Maximum tokens of one request. */
  readonly contextLength: number;
  /** KV cells all slots share. */
  readonly kvTokenCount: number;
}

/** Memory of the machine and of its GPU, in bytes. */
export interface MemoryAmounts {
  readonly ramBytes: number;
  readonly vramBytes: number;
}

/** The settings (undefined: not set) and the available memory. */
export interface FitOptions {
  readonly slotCount: number | undefined;
  readonly contextLength: number | undefined;
  readonly kvTokenCount: number | undefined;
  readonly trainedContextLength: number | undefined;
  /** True if any layer runs on a GPU, which more sequences keep busy. */
  readonly usesGpu: boolean;
  /** Memory that a context may take, without that of the weights. */
  readonly free: MemoryAmounts;
  /** Memory of a context of that shape. It never shrinks when the shape grows. */
  estimate(shape: ContextShape): Promise<MemoryAmounts>;
}

/** A shape that fits, and log lines about how it was chosen. */
export interface EngineFit extends ContextShape {
  readonly notes: readonly { readonly level: 'info' | 'warn'; readonly message: string }[];
}

const cpuSlotCount = 4;
const gpuSlotCount = 16;
const maxDefaultContextLength = 16_384;
/** Context length of files without a trained context length. */
const unknownContextLength = 4096;
/** A context is not reduced below this: a chat with a system prompt would no longer fit. */
const minContextLength = 512;
/** llama.cpp pads contexts to a multiple of it, so other lengths save nothing. */
const contextStep = 256;

/**
 * Chooses slots, context and KV cache. Values that are not set shrink until they fit: slots first, down to 1, then the
 * context. A set value never changes.
 * @throws {StartError} exit code 1, with the numbers, when it cannot fit
 */
export async function fitEngine(options: FitOptions): Promise<EngineFit> {
  const { notes, ...wanted } = wantedShape(options);
  if (fits(await options.estimate(wanted), options.free)) return { ...wanted, notes };

  const fitted = await reduced(wanted, options);
  if (fitted === undefined) throw await tooLarge(smallest(wanted, options), options);
  const message =
    `${describe(wanted)} need ${amounts(await options.estimate(wanted))}, ` +
    `${amounts(options.free)} are free: reduced to ${describe(fitted)}`;
  return { ...fitted, notes: [...notes, { level: 'warn', message }] };
}

/** Context length of a model without the setting. */
export function defaultContextLength(trainedContextLength: number | undefined): number {
  return Math.min(trainedContextLength ?? unknownContextLength, maxDefaultContextLength);
}

/** The shape without regard to memory. */
function wantedShape(options: FitOptions): EngineFit {
  const notes: EngineFit['notes'][number][] = [];
  const trained = options.trainedContextLength;
  let contextLength = options.contextLength ?? defaultContextLength(trained);
  if (trained !== undefined && contextLength > trained) {
    const message = `CTX ${contextLength} is more than the ${trained} tokens the model was trained for; long requests may get poor answers`;
    notes.push({ level: 'warn', message });
  }
  const limit = options.kvTokenCount;
  if (limit !== undefined && contextLength > limit) {
    if (options.contextLength !== undefined) {
      const message = `CTX ${contextLength} is more than KV_TOKENS ${limit}; a request may use ${limit} tokens`;
      notes.push({ level: 'warn', message });
    }
    contextLength = limit;
  }
  const slotCount = options.slotCount ?? (options.usesGpu ? gpuSlotCount : cpuSlotCount);
  return { ...withKv(slotCount, contextLength, options), notes };
}

/** The maximum shape that fits; undefined if none does. */
async function reduced(
  wanted: ContextShape,
  options: FitOptions,
): Promise<ContextShape | undefined> {
  const isGood = async (shape: ContextShape) => fits(await options.estimate(shape), options.free);
  const shapeOf = (slotCount: number, contextLength: number) =>
    withKv(slotCount, contextLength, options);

  let { slotCount } = wanted;
  if (options.slotCount === undefined) {
    const largest = await largestGood(wanted.slotCount - 1, (count) =>
      isGood(shapeOf(count, wanted.contextLength)),
    );
    if (largest > 0) return shapeOf(largest, wanted.contextLength);
    slotCount = 1;
  }
  if (options.contextLength !== undefined) return undefined;
  const floor = Math.min(minContextLength, wanted.contextLength);
  const stepCount = Math.ceil((wanted.contextLength - floor) / contextStep);
  const length = (steps: number) => floor + (steps - 1) * contextStep;
  const steps = await largestGood(stepCount, (count) => isGood(shapeOf(slotCount, length(count))));
  return steps > 0 ? shapeOf(slotCount, length(steps)) : undefined;
}

/** The maximum count from 1 to `max` that is good, 0 if none is. Every count below a good one is good too. */
async function largestGood(
  max: number,
  isGood: (count: number) => Promise<boolean>,
): Promise<number> {
  let good = 0;
  let bad = max + 1;
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (await isGood(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

function withKv(slotCount: number, contextLength: number, options: FitOptions): ContextShape {
  const kvTokenCount = options.kvTokenCount ?? slotCount * contextLength;
  return { slotCount, contextLength, kvTokenCount };
}

function smallest(wanted: ContextShape, options: FitOptions): ContextShape {
  return withKv(
    options.slotCount ?? 1,
    options.contextLength === undefined
      ? Math.min(minContextLength, wanted.contextLength)
      : wanted.contextLength,
    options,
  );
}

async function tooLarge(shape: ContextShape, options: FitOptions): Promise<StartError> {
  const need = await options.estimate(shape);
  const places = options.usesGpu ? 'NGL, ' : '';
  return new StartError(
    1,
    `${describe(shape)} need ${amounts(need)}, but only ${amounts(options.free)} are free beside ` +
      `the weights; lower PARALLEL, CTX, KV_TOKENS, ${places}or use a smaller model`,
  );
}

/** True if the needed memory is free. */
export function fits(need: MemoryAmounts, free: MemoryAmounts): boolean {
  return need.ramBytes <= free.ramBytes && need.vramBytes <= free.vramBytes;
}

function describe({ slotCount, contextLength, kvTokenCount }: ContextShape): string {
  return `${slotCount} slots x ${contextLength} tokens (KV cache of ${kvTokenCount})`;
}

/** `120 MiB of memory and 1.5 GiB of GPU memory`. */
export function amounts({ ramBytes, vramBytes }: MemoryAmounts): string {
  const ram = `${formatBytes(ramBytes)} of memory`;
  return vramBytes > 0 ? `${ram} and ${formatBytes(vramBytes)} of GPU memory` : ram;
}

/** `1.5 GiB`, `23 MiB`. */
export function formatBytes(sizeBytes: number): string {
  const mebibytes = Math.max(0, sizeBytes) / 2 ** 20;
  return mebibytes < 1024 ? `${Math.ceil(mebibytes)} MiB` : `${(mebibytes / 1024).toFixed(1)} GiB`;
}
