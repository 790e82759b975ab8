/**
 * Numbers between bounds, and multiples, as grammars of their digits. Numbers are compared as decimals, exactly;
 * exponents are not written.
 */
import type { RuleWriter } from './rule-writer.ts';

/** A decimal: `units` of 10 ** -`scale`. */
export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

/** Numbers of `scale` fraction digits at most, in units of 10 ** -`scale`. */
export interface NumberRange {
  readonly scale: number;
  /** Inclusive; undefined without a bound. */
  readonly low?: bigint | undefined;
  readonly high?: bigint | undefined;
  /** The numbers are multiples of so many units; 1 for all. */
  readonly step: bigint;
  /** Digits before the decimal point at most, without a bound that has more; {@link maxWholeDigits} if undefined. */
  readonly wholeDigits?: number | undefined;
}

/** Digits before the decimal point where a bound does not ask for more: a double holds all of them. */
export const maxWholeDigits = 15;

/** Digits before the decimal point where a bound has that many. */
const maxBoundedDigits = 24;

/** States of the digits that one grammar may have. */
const maxStates = 3000;

/** The shortest decimal that is read as `value`. */
export function toDecimal(value: number): Decimal {
  const [, sign = '', whole = '0', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(String(value)) ?? [];
  const scale = fraction.length - Number(exponent);
  const units = BigInt(sign + whole + fraction);
  return scale >= 0 ? { units, scale } : { units: units * 10n ** BigInt(-scale), scale: 0 };
}

/** `decimal` in units of another scale, rounded down or up where it is between two. */
export function rescale(decimal: Decimal, scale: number, direction: 'down' | 'up'): bigint {
  if (scale >= decimal.scale) return decimal.units * 10n ** BigInt(scale - decimal.scale);
  const divisor = 10n ** BigInt(decimal.scale - scale);
  return roundTo(decimal.units, divisor, direction) / divisor;
}

/** The multiple of `step` at `units`, or next to it in a direction. */
export function roundTo(units: bigint, step: bigint, direction: 'down' | 'up'): bigint {
  const rest = ((units % step) + step) % step;
  if (rest === 0n) return units;
  return direction === 'down' ? units - rest : units - rest + step;
}

/** All numbers of a range, if they are at most `most`. */
export function listNumbers(
  { scale, low, high, step }: NumberRange,
  most: number,
): number[] | undefined {
  if (low === undefined || high === undefined) return undefined;
  const first = roundTo(low, step, 'up');
  if ((high - first) / step >= BigInt(most)) return undefined;
  const numbers: number[] = [];
  for (let units = first; units <= high; units += step) {
    numbers.push(Number(`${units}e-${scale}`));
  }
  return numbers;
}

/** True if a grammar of the range is small enough, perhaps with fewer digits than the range has. */
export function canWriteNumbers({ step, scale }: NumberRange): boolean {
  return step * BigInt(scale + 2) <= BigInt(maxStates);
}

/** Writes the rules for the numbers of a range, of which there is one. */
export function writeNumbers(range: NumberRange, rules: RuleWriter): string {
  const { low, high } = range;
  const choices: string[] = [];
  const unsigned = new UnsignedWriter(range, rules);
  if (high === undefined || high >= 0n) {
    const from = low === undefined || low < 0n ? 0n : low;
    choices.push(...unsigned.write(from, high));
  }
  if (low === undefined || low < 0n) {
    const from = high === undefined || high >= 0n ? 1n : -high;
    const negative = unsigned.write(from, low === undefined ? undefined : -low);
    if (negative.length > 0) choices.push(`"-" (${negative.join(' | ')})`);
  }
  return `(${choices.join(' | ')})`;
}

/** What is left to write of a number. */
interface Rest {
  /** Digits before the point, at least and at most. */
  readonly wholeMin: number;
  readonly wholeMax: number;
  /** Digits after the point that were written; undefined before the point. */
  readonly fraction: number | undefined;
  /** The digits that the number must not be below or above, from here to the last one; undefined for any. */
  readonly low: string | undefined;
  readonly high: string | undefined;
  /** The number so far, modulo the step. */
  readonly remainder: number;
}

class UnsignedWriter {
  readonly #scale: number;
  readonly #step: number;
  readonly #wholeDigits: number;
  readonly #rules: RuleWriter;
  /** Names of rules by what is left to write; undefined where it leads to no number. */
  readonly #names = new Map<string, string | undefined>();

  constructor({ scale, step, wholeDigits }: NumberRange, rules: RuleWriter) {
    this.#scale = scale;
    this.#wholeDigits = wholeDigits ?? maxWholeDigits;
    this.#step = Number(step);
    this.#rules = rules;
  }

  /** Alternatives for the numbers from `low` to `high`, neither of them negative. */
  write(low: bigint, high: bigint | undefined): string[] {
    const limit = this.#wholeLimit(high === undefined);
    const lowDigits = digitsOf(low, this.#scale);
    const lowLength = lowDigits.length - this.#scale;
    const highDigits = high === undefined ? undefined : digitsOf(high, this.#scale);
    const highLength = highDigits === undefined ? undefined : highDigits.length - this.#scale;
    const top = highLength ?? Math.max(limit, lowLength);
    const choices: (string | undefined)[] = [];
    const all = { fraction: undefined, remainder: 0 };
    // Numbers with as many digits as a bound are compared with it.
    const isLowFree = lowLength === 1 && BigInt(lowDigits) === 0n;
    const firstFree = isLowFree ? 1 : lowLength + 1;
    const lastFree = highDigits === undefined ? top : top - 1;
    if (!isLowFree) {
      const sameHigh = highLength === lowLength ? highDigits : undefined;
      choices.push(
        this.#begin({
          ...all,
          wholeMin: lowLength,
          wholeMax: lowLength,
          low: lowDigits,
          high: sameHigh,
        }),
      );
    }
    if (firstFree <= Math.min(lastFree, limit)) {
      const wholeMax = Math.min(lastFree, limit);
      choices.push(
        this.#begin({ ...all, wholeMin: firstFree, wholeMax, low: undefined, high: undefined }),
      );
    }
    const isHighOpen = highDigits !== undefined && (isLowFree || highLength !== lowLength);
    if (isHighOpen && top <= Math.max(limit, lowLength)) {
      choices.push(
        this.#begin({ ...all, wholeMin: top, wholeMax: top, low: undefined, high: highDigits }),
      );
    }
    return choices.filter((choice) => choice !== undefined);
  }

  /** Maximum digits before the point: fewer where each of them has many states. */
  #wholeLimit(isOpen: boolean): number {
    if (this.#step === 1) return isOpen ? this.#wholeDigits : maxBoundedDigits;
    // Readers divide the number that they round to.
    const exact = this.#wholeDigits - this.#scale;
    return Math.max(1, Math.min(exact, Math.floor(maxStates / this.#step) - this.#scale));
  }

  /** The first digit is zero only where it is the only one before the point. */
  #begin(rest: Rest): string | undefined {
    const zero = rest.wholeMin === 1 ? this.#digits({ ...rest, wholeMax: 1 }, 0, 0) : [];
    const others = this.#digits(rest, 1, 9);
    const choices = [...zero, ...others];
    return choices.length === 0 ? undefined : `(${choices.join(' | ')})`;
  }

  /** Alternatives whose next digit is in a range. */
  #digits(rest: Rest, from: number, to: number): string[] {
    const byRule = new Map<string, number[]>();
    const first = rest.low === undefined ? from : Math.max(from, Number(rest.low[0]));
    const last = rest.high === undefined ? to : Math.min(to, Number(rest.high[0]));
    for (let digit = first; digit <= last; digit++) {
      const rule = this.#rule(this.#after(rest, digit));
      if (rule === undefined) continue;
      byRule.set(rule, [...(byRule.get(rule) ?? []), digit]);
    }
    return [...byRule].map(([rule, digits]) => `[${digits.join('')}] ${rule}`.trim());
  }

  #after(rest: Rest, digit: number): Rest {
    const isTightLow = rest.low !== undefined && Number(rest.low[0]) === digit;
    const isTightHigh = rest.high !== undefined && Number(rest.high[0]) === digit;
    const isWhole = rest.fraction === undefined;
    return {
      wholeMin: isWhole ? Math.max(rest.wholeMin - 1, 0) : 0,
      wholeMax: isWhole ? rest.wholeMax - 1 : 0,
      fraction: isWhole ? undefined : (rest.fraction ?? 0) + 1,
      low: isTightLow ? rest.low?.slice(1) : undefined,
      high: isTightHigh ? rest.high?.slice(1) : undefined,
      remainder: (rest.remainder * 10 + digit) % this.#step,
    };
  }

  #rule(rest: Rest): string | undefined {
    const { wholeMin, wholeMax, fraction, low, high, remainder } = rest;
    const key = [wholeMin, wholeMax, fraction, low, high, remainder].join('/');
    if (this.#names.has(key)) return this.#names.get(key);
    const choices: string[] = [];
    const hasMore = fraction === undefined ? wholeMax > 0 : fraction < this.#scale;
    if (hasMore) choices.push(...this.#digits(rest, 0, 9));
    if (fraction === undefined && wholeMin === 0 && this.#scale > 0) {
      const decimals = this.#digits({ ...rest, wholeMax: 0, fraction: 0 }, 0, 9);
      if (decimals.length > 0) choices.push(`"." (${decimals.join(' | ')})`);
    }
    const canEnd = wholeMin === 0 && this.#canEnd(rest);
    let name: string | undefined;
    if (choices.length === 0) name = canEnd ? '' : undefined;
    else name = this.#rules.add(`${canEnd ? '| ' : ''}${choices.join(' | ')}`);
    this.#names.set(key, name);
    return name;
  }

  /** True if zeros in all further places make a number of the range. */
  #canEnd({ low, fraction, remainder }: Rest): boolean {
    const places = this.#scale - (fraction ?? 0);
    let rest = remainder;
    for (let place = 0; place < places; place++) rest = (rest * 10) % this.#step;
    return rest === 0 && (low === undefined || /^0*$/.test(low));
  }
}

/** All digits, with one before the point at least. */
function digitsOf(units: bigint, scale: number): string {
  return units.toString().padStart(scale + 1, '0');
}
