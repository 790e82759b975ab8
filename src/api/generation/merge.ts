/**
 * Runs several generators side by side and yields what they yield, as it comes. None is asked for more
 * before its last value was taken, so back-pressure reaches all of them. The first error ends the rest,
 * and so does leaving early.
 */
export function merge<T>(
  sources: readonly AsyncGenerator<T, void, undefined>[],
): AsyncGenerator<T, void, undefined> {
  const [first, ...others] = sources;
  return first !== undefined && others.length === 0 ? first : mergeSeveral(sources);
}

async function* mergeSeveral<T>(
  sources: readonly AsyncGenerator<T, void, undefined>[],
): AsyncGenerator<T, void, undefined> {
  const ready: { readonly value: T; readonly taken: () => void }[] = [];
  let running = sources.length;
  let over = false;
  let failure: { readonly error: unknown } | undefined;
  let wake: (() => void) | undefined;

  const pump = async (generator: AsyncGenerator<T, void, undefined>) => {
    try {
      for await (const value of generator) {
        if (over) break;
        await new Promise<void>((taken) => {
          ready.push({ value, taken });
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
        yield current.value;
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
