/** Reads a command line into flags, by one syntax for all commands; what their values mean is not decided here. */
import { parseArgs } from 'node:util';
import { nearest } from '../core/nearest.ts';
import { quote } from '../core/quote.ts';

/** How one flag is written. */
export interface FlagForm {
  /** `required`: `--name value` or `--name=value`; `optional`: `--name` or `--name=value`; `none`: `--name`. */
  readonly value: 'required' | 'optional' | 'none';
  /** One letter for `-x`. */
  readonly short?: string | undefined;
  /** Whether `--no-name` is a flag, too. */
  readonly negatable?: boolean | undefined;
}

/** A flag as it was given. */
export interface GivenFlag {
  readonly name: string;
  /** Undefined where the flag was given without a value. */
  readonly value: string | undefined;
  /** Given as `--no-name`. */
  readonly negated: boolean;
}

/** What a command line consists of. */
export interface CommandLine {
  /** In their order, a repeated flag as often as it was given. */
  readonly flags: readonly GivenFlag[];
  /** Words that are neither flags nor their values. */
  readonly words: readonly string[];
  /** One sentence for each mistake. */
  readonly problems: readonly string[];
}

/**
 * Reads flags, which may stand anywhere.
 * @param forms - by the name of the flag, without dashes
 * @param maxWords - words that the command takes; any further one is a problem
 */
export function readCommandLine(
  argv: readonly string[],
  forms: ReadonlyMap<string, FlagForm>,
  maxWords = 0,
): CommandLine {
  const flags: GivenFlag[] = [];
  const words: string[] = [];
  const problems: string[] = [];
  const tokens = tokensOf(argv, forms);
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index];
    if (token?.kind === 'positional') {
      words.push(token.value);
      if (words.length > maxWords) problems.push(`unexpected argument ${quote(token.value)}`);
    }
    if (token?.kind !== 'option') continue;
    const flag = readFlag(token, forms);
    if (typeof flag === 'string') {
      problems.push(flag);
      // The word behind a flag that is wrong is most likely its value.
      if (tokens[index + 1]?.kind === 'positional') index += 1;
    } else {
      flags.push(flag);
    }
  }
  return { flags, words, problems };
}

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number];
type FlagToken = Extract<Token, { kind: 'option' }>;

/** The tokens of a command line. A flag that lacks its value leaves the next flag alone. */
function tokensOf(argv: readonly string[], forms: ReadonlyMap<string, FlagForm>): Token[] {
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      [...forms].map(([name, { value, short }]) => [
        name,
        {
          type: value === 'required' ? ('string' as const) : ('boolean' as const),
          ...(short !== undefined && { short }),
        },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const end = tokens.findIndex(
    (token) =>
      token.kind === 'option' && token.inlineValue === false && token.value.startsWith('--'),
  );
  const wrong = tokens[end];
  if (wrong?.kind !== 'option') return tokens;
  return [
    ...tokens.slice(0, end),
    { ...wrong, value: undefined, inlineValue: undefined },
    ...tokensOf(argv.slice(wrong.index + 1), forms),
  ];
}

/** A flag, or the sentence that says what is wrong with it. */
function readFlag(
  { name, rawName, value }: FlagToken,
  forms: ReadonlyMap<string, FlagForm>,
): GivenFlag | string {
  const isLong = rawName.startsWith('--');
  const positive = isLong && name.startsWith('no-') ? name.slice('no-'.length) : '';
  if (forms.get(positive)?.negatable === true) {
    return value === undefined
      ? { name: positive, value, negated: true }
      : `${rawName} takes no value`;
  }
  const form = forms.get(name);
  if (form === undefined || (!isLong && rawName !== `-${form.short}`)) {
    const meant = nearest(name, forms.keys());
    return `unknown flag ${rawName}${meant === undefined ? '' : `, did you mean --${meant}?`}`;
  }
  if (form.value === 'required' && value === undefined) return `${rawName} needs a value`;
  if (form.value === 'none' && value !== undefined) return `${rawName} takes no value`;
  return { name, value, negated: false };
}
