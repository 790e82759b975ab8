import { isIP } from 'node:net';

/** Parses the text of a setting or a flag. Every source (flag, environment, file) gives text. */
export interface ValueKind<T> {
  /** Completes "must be …". */
  readonly expectation: string;
  /** Stands for the value in `--help`; undefined for a switch, which needs none. */
  readonly placeholder: string | undefined;
  /** The value; undefined for an invalid text. */
  parse(text: string): T | undefined;
  /** The text of a value, where that is not simply its string. */
  show?(value: T): string;
}

interface Range {
  readonly min: number;
  readonly max: number;
}

/** Any text. */
export function text(placeholder: string): ValueKind<string> {
  return {
    expectation: 'a text',
    placeholder,
    parse: (value) => (value.includes('\0') ? undefined : value),
  };
}

/** A whole number within `min` and `max`, both included. */
export function integer({ min, max }: Range): ValueKind<number> {
  return {
    expectation: `a whole number from ${min} to ${max}`,
    placeholder: 'N',
    parse: (value) =>
      /^[+-]?\d+$/.test(value.trim()) ? within(Number(value), min, max) : undefined,
  };
}

/** A number with or without a fraction, from `min` to `max`; `aboveMin` excludes `min` itself. */
export function decimal({
  min,
  max,
  aboveMin = false,
}: Range & { readonly aboveMin?: boolean }): ValueKind<number> {
  return {
    expectation: aboveMin
      ? `a number above ${min} and up to ${max}`
      : `a number from ${min} to ${max}`,
    placeholder: 'X',
    parse: (value) => {
      if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim())) return undefined;
      const parsed = within(Number(value), min, max);
      return aboveMin && parsed === min ? undefined : parsed;
    },
  };
}

/** A time that is written in seconds, fractions allowed, as whole milliseconds; never 0 for a time above 0. */
export function seconds(range: Range & { readonly aboveMin?: boolean }): ValueKind<number> {
  const { parse, expectation, placeholder } = decimal(range);
  return {
    expectation,
    placeholder,
    parse: (value) => {
      const time = parse(value);
      return time === undefined ? undefined : Math.ceil(time * 1000);
    },
    show: (value) => String(value / 1000),
  };
}

/** Any integer of 64 bits, signed or unsigned. */
export function integer64(): ValueKind<bigint> {
  return {
    expectation: 'a whole number of at most 64 bits',
    placeholder: 'N',
    parse: (value) => {
      if (!/^-?\d+$/.test(value.trim())) return undefined;
      const parsed = BigInt(value.trim());
      return parsed >= -(2n ** 63n) && parsed < 2n ** 64n ? parsed : undefined;
    },
  };
}

/** Processors in the form of `taskset -c`: numbers and ranges from 0 to `max`, like `0-3,8`. */
export function processorList({ max }: { readonly max: number }): ValueKind<readonly number[]> {
  return {
    expectation: `numbers from 0 to ${max} and ranges of them, like 0-3,8`,
    placeholder: 'LIST',
    parse: (value) => {
      const found = new Set<number>();
      for (const part of value.split(',')) {
        const [, first, last = first] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
        if (first === undefined || Number(last) < Number(first) || Number(last) > max) {
          return undefined;
        }
        for (let at = Number(first); at <= Number(last); at++) found.add(at);
      }
      return [...found].sort((a, b) => a - b);
    },
  };
}

/** One of a few words, in any case. */
export function choice<const Word extends string>(...words: readonly Word[]): ValueKind<Word> {
  return {
    expectation: `one of ${words.join(', ')}`,
    placeholder: words.length > 4 ? 'NAME' : words.join('|'),
    parse: (value) => words.find((word) => word === value.trim().toLowerCase()),
  };
}

/** One of a few words, in any case, each of which stands for a value. */
export function wordOf<const Values extends Readonly<Record<string, unknown>>>(
  values: Values,
): ValueKind<Values[keyof Values]> {
  const { parse, ...rest } = choice(...Object.keys(values));
  return {
    ...rest,
    parse: (value) => {
      const word = parse(value);
      return word === undefined ? undefined : (values[word] as Values[keyof Values]);
    },
    show: (value) => Object.keys(values).find((word) => values[word] === value) ?? String(value),
  };
}

/** Yes or no. Any other word is refused: a mistyped switch must not disable a protection. */
export function truth(): ValueKind<boolean> {
  return {
    expectation: 'true, 1, yes, on or false, 0, no, off',
    placeholder: undefined,
    parse: (value) => {
      const word = value.trim().toLowerCase();
      if (['true', '1', 'yes', 'on'].includes(word)) return true;
      return ['false', '0', 'no', 'off'].includes(word) ? false : undefined;
    },
  };
}

/** Names, separated by commas; blanks around a name do not count. */
export function list(
  placeholder: string,
  isEntry: (entry: string) => boolean,
  entries: string,
): ValueKind<readonly string[]> {
  return {
    expectation: `${entries}, with commas between`,
    placeholder,
    parse: (value) => {
      const names = value.split(',').map((name) => name.trim());
      return names.every(isEntry) ? names : undefined;
    },
  };
}

/** A URL with one of several protocols. */
export function url(...protocols: readonly string[]): ValueKind<string> {
  return {
    expectation: `a URL with ${protocols.join(' or ')}`,
    placeholder: 'URL',
    parse: (value) =>
      URL.canParse(value) && protocols.includes(new URL(value).protocol) ? value : undefined,
  };
}

/** Origins of pages, `https://host[:port]` or of an app's own scheme, without a slash at the end; `*` is every origin. */
export function origins(): ValueKind<readonly string[]> {
  const { parse, ...rest } = list('ORIGIN,...', (entry) => /^[\x21-\x7e]+$/.test(entry), 'origins');
  return { ...rest, parse: (value) => parse(value)?.map(toOrigin) };
}

/** As browsers write an origin: host in lower case, no default port, no slash at the end (`file://` is an origin). */
function toOrigin(entry: string): string {
  const bare = entry.replace(/(?<!:\/)\/$/, '');
  if (!/^https?:\/\/[^/*?#@]+$/i.test(bare) || !URL.canParse(bare)) return bare;
  return new URL(bare).origin;
}

/** IP addresses, or networks such as `10.0.0.0/8`. */
export function addresses(): ValueKind<readonly string[]> {
  return list('ADDRESS,...', isNetwork, 'IP addresses or networks such as 10.0.0.0/8');
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
  );
}

/** Number of layers on the GPU; 99 stands for all of them, by tradition. */
export function layerCount(): ValueKind<number | 'auto' | 'max'> {
  return {
    expectation: 'auto, max or a whole number from 0 (99 = all layers)',
    placeholder: 'auto|max|N',
    parse: (value) => {
      const word = value.trim().toLowerCase();
      if (word === 'auto' || word === 'max') return word;
      if (!/^\d{1,6}$/.test(word)) return undefined;
      return word === '99' ? 'max' : Number(word);
    },
  };
}

function within(value: number, min: number, max: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}
