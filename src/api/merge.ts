/** A value and which source it came from. */
export interface Merged<T> {
  readonly source: number;
  readonly value: T;
}

/**
 * Runs several generators side by side and yields what they yield, as it comes. None is asked for more
 * before its last value was taken, so back-pressure reaches all of them. The first error ends the rest,
 * and so does leaving early.
 */
export async function* merge<T>(
  sources: readonly AsyncGenerator<T, void, undefined>[],
): AsyncGenerator<Merged<T>, void, undefined> {
  const ready: (Merged<T> & { readonly taken: () => void })[] = [];
  let running = sources.length;
  let over = false;
  let failure: { readonly error: unknown } | undefined;
  let wake: (() => void) | undefined;

  const pump = async (generator: AsyncGenerator<T, void, undefined>, source: number) => {
    try {
      for await (const value of generator) {
        if (over) break;
        await new Promise<void>((taken) => {
          ready.push({ source, value, taken });
          wake?.();
        });
        if (over) break;
      }
    } catch (error) {
      failure ??= { error };
    }
    running -= 1;
    wake?.();
  };
  const pumps = sources.map(pump);

  let current: (typeof ready)[number] | undefined;
  try {
    while (failure === undefined) {
      current = ready.shift();
      if (current !== undefined) {
        yield { source: current.source, value: current.value };
        current.taken();
      } else if (running === 0) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    throw failure.error;
  } finally {
    over = true;
    current?.taken();
    for (const { taken } of ready) taken();
    await Promise.all(pumps);
  }
}
