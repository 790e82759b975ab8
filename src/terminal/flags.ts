/** The flags of a command as a table: what each takes and means. */
import { quote } from '../core/quote.ts';
import type { ValueKind } from '../core/value-kinds.ts';
import { type FlagForm, readCommandLine } from './command-line.ts';

/** One flag of a command. */
export interface Flag<T = unknown> {
  readonly kind: ValueKind<T>;
  /** One letter for `-x`. */
  readonly short?: string | undefined;
  /** Its value is never shown. */
  readonly secret?: true | undefined;
}

/** What the kinds of a table of flags parse to. */
export type FlagValues<Flags> = {
  readonly [Name in keyof Flags]?: Flags[Name] extends Flag<infer T> ? T : never;
};

/** A command line, read by a table of flags. */
export interface ReadFlags<Flags> {
  /** The last value of each flag that was given. */
  readonly values: FlagValues<Flags>;
  /** All that were given and are valid, in their order, with their text. */
  readonly given: readonly {
    readonly name: keyof Flags & string;
    readonly text: string | undefined;
    readonly value: unknown;
  }[];
  readonly words: readonly string[];
  /** One sentence for each mistake. */
  readonly problems: readonly string[];
}

/** Kind of a flag that is given or not, and takes no value. */
export function present(): ValueKind<true> {
  return { expectation: 'given or not', placeholder: undefined, parse: () => true };
}

/**
 * Reads the flags of a command.
 * @param options - `maxWords`: words beside the flags that the command takes; `emptyIsUnset`: a flag with an empty value
 *   counts as not given
 */
export function readFlags<const Flags extends Readonly<Record<string, Flag>>>(
  argv: readonly string[],
  flags: Flags,
  { maxWords = 0, emptyIsUnset = false } = {},
): ReadFlags<Flags> {
  const forms = new Map(
    Object.entries(flags).map(([name, { kind, short }]): [string, FlagForm] => [
      name,
      { value: kind.placeholder === undefined ? 'none' : 'required', short },
    ]),
  );
  const { flags: found, words, problems } = readCommandLine(argv, forms, maxWords);
  const valueProblems: string[] = [];
  const given = found.flatMap(({ name, value: text }) => {
    if (text === '' && emptyIsUnset) return [];
    const flag = flags[name] as Flag;
    const value = flag.kind.parse(text ?? '');
    if (value !== undefined) return [{ name, text, value }];
    valueProblems.push(`--${name} must be ${flag.kind.expectation}${received(flag, text ?? '')}`);
    return [];
  });
  const values = Object.fromEntries(given.map(({ name, value }) => [name, value]));
  return {
    values: values as FlagValues<Flags>,
    given,
    words,
    problems: [...problems, ...valueProblems],
  };
}

/** The value in a problem, unless it may contain a secret. */
function received({ secret }: Flag, text: string): string {
  const hidesPassword = secret === true || /:\/\/[^/]*@/.test(text);
  return hidesPassword ? '' : `, received ${quote(text)}`;
}
