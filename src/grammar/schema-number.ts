/** Numbers of a schema: between bounds, and multiples. */
import {
  canWriteNumbers,
  listNumbers,
  maxWholeDigits,
  type NumberRange,
  rescale,
  roundTo,
  toDecimal,
  writeNumbers,
} from './number-grammar.ts';
import { join } from './schema-keywords.ts';
import { Every, type RawSchema } from './schema-merge.ts';
import type { SchemaReading } from './schema-reading.ts';
import { integerFormats } from './string-formats.ts';
import { writtenSchema } from './written.ts';

/** The largest integer of a range with one bound: 15 digits. */
const maxInteger = 999_999_999_999_999;

/** Fraction digits of numbers between bounds, unless a bound has more. */
const fractionDigits = 6;

/** Multiples that are listed one by one. */
const maxListed = 64;

type NumberType = 'number' | 'integer';

/** One bound, as the schema has it. */
interface Bound {
  readonly keyword: string;
  readonly value: number;
  readonly isUpper: boolean;
  readonly isExclusive: boolean;
}

/** Reads one number type of a schema. */
interface NumberAt {
  readonly type: NumberType;
  readonly path: string;
  readonly reading: SchemaReading;
}

export function readNumber(
  schema: RawSchema,
  type: NumberType,
  path: string,
  reading: SchemaReading,
): RawSchema {
  const at: NumberAt = { type, path, reading };
  const bounds = readBounds(schema, at);
  const multiples = readMultiples(schema, at);
  const isInteger = type === 'integer' || multiples.some(Number.isInteger);
  const step = commonStep(isInteger ? [1, ...multiples] : multiples);
  const isWhole = step !== undefined && step.units === 1n && step.scale === 0;
  if (bounds.length === 0 && (step === undefined || isWhole)) {
    return { type: isWhole ? 'integer' : 'number' };
  }
  const range = rangeOf(bounds, step);
  if (range.low !== undefined && range.high !== undefined && range.low > range.high) {
    reading.impossible(join(path, bounds[0]?.keyword ?? 'multipleOf'), `leaves no ${type}`);
    return { type };
  }
  if (isWhole && isSmall(range)) {
    // With a single bound llama.cpp accepts numbers of fewer digits beyond it.
    const { low = BigInt(-maxInteger), high = BigInt(maxInteger) } = range;
    if (low <= high) return { type: 'integer', minimum: Number(low), maximum: Number(high) };
  }
  return rangeSchema(range, isWhole || isInteger ? 'integer' : 'number', at);
}

function isSmall({ low = 0n, high = 0n }: NumberRange): boolean {
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  return low >= -limit && high <= limit;
}

function rangeSchema(range: NumberRange, type: NumberType, { path, reading }: NumberAt): RawSchema {
  if (range.step > 1n) {
    const listed = listNumbers(range, maxListed);
    if (listed?.length === 0) {
      reading.impossible(join(path, 'multipleOf'), 'leaves no number between the bounds');
      return { type };
    }
    if (listed !== undefined) {
      reading.changed = true;
      return { type, enum: listed };
    }
  }
  const [tens, inTens] = withoutTens(range);
  if (!canWriteNumbers(inTens)) {
    reading.refuse(join(path, 'multipleOf'), 'cannot be enforced: its grammar would be too large');
    const { low, high, scale } = range;
    const isFree = low === undefined && high === undefined;
    return isFree
      ? { type }
      : rangeSchema({ low, high, scale, step: 1n }, type, { path, reading, type });
  }
  reading.changed = true;
  if (tens === 0) return writtenSchema({ type }, ({ rules }) => writeNumbers(range, rules));
  const { low = -1n, high = 1n } = inTens;
  const positive = { ...inTens, low: low > 1n ? low : 1n };
  const negative = { ...inTens, high: high < -1n ? high : -1n };
  return writtenSchema({ type }, ({ rules }) => {
    const choices = [
      ...(low <= 0n && high >= 0n ? ['"0"'] : []),
      ...(high > 0n ? [`${writeNumbers(positive, rules)} "${'0'.repeat(tens)}"`] : []),
      ...(low < 0n ? [`${writeNumbers(negative, rules)} "${'0'.repeat(tens)}"`] : []),
    ];
    return `(${choices.join(' | ')})`;
  });
}

/** A range of multiples of 10 ** tens, in units of it: they end with so many zeros. */
function withoutTens(range: NumberRange): readonly [number, NumberRange] {
  let [tens, unit] = [0, 1n];
  while (range.scale === 0 && range.step % (unit * 10n) === 0n) {
    tens += 1;
    unit *= 10n;
  }
  if (tens < 2) return [0, range];
  const { low, high, step } = range;
  return [
    tens,
    {
      scale: 0,
      wholeDigits: Math.max(1, maxWholeDigits - tens),
      step: step / unit,
      low: low === undefined ? undefined : roundTo(low, unit, 'up') / unit,
      high: high === undefined ? undefined : roundTo(high, unit, 'down') / unit,
    },
  ];
}

function readBounds(schema: RawSchema, { path, reading, type }: NumberAt): Bound[] {
  const bounds: Bound[] = [];
  for (const [keyword, exclusive, isUpper] of [
    ['minimum', 'exclusiveMinimum', false],
    ['maximum', 'exclusiveMaximum', true],
  ] as const) {
    // Draft 4 has a boolean beside the bound.
    const isFlag = typeof schema[exclusive] === 'boolean' && schema[keyword] !== undefined;
    for (const [name, isExclusive] of [
      [keyword, isFlag && schema[exclusive] === true],
      [exclusive, true],
    ] as const) {
      const value = schema[name];
      if (value === undefined || (name === exclusive && isFlag)) continue;
      if (typeof value === 'number' && Number.isFinite(value)) {
        bounds.push({ keyword: name, value, isUpper, isExclusive });
      } else reading.refuse(join(path, name), 'must be a number');
    }
  }
  for (const format of Every.values(schema.format)) {
    const known = typeof format === 'string' ? integerFormats.get(format) : undefined;
    if (known === undefined || (type === 'number' && bounds.some(isFraction))) {
      reading.ignore(join(path, 'format'));
      continue;
    }
    const [low, high] = known;
    const [isExclusive, keyword] = [false, 'format'];
    bounds.push({ keyword, value: low, isUpper: false, isExclusive });
    bounds.push({ keyword, value: high, isUpper: true, isExclusive });
  }
  return bounds;
}

function isFraction({ value }: Bound): boolean {
  return !Number.isInteger(value);
}

function readMultiples(schema: RawSchema, { path, reading }: NumberAt): number[] {
  return Every.values(schema.multipleOf).filter((value): value is number => {
    if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return true;
    reading.refuse(join(path, 'multipleOf'), 'must be a number above 0');
    return false;
  });
}

/** The smallest number that is a multiple of all; undefined without any. */
function commonStep(multiples: readonly number[]): { units: bigint; scale: number } | undefined {
  if (multiples.length === 0) return undefined;
  const decimals = multiples.map(toDecimal);
  const scale = Math.max(...decimals.map((each) => each.scale));
  let units = decimals
    .map((each) => rescale(each, scale, 'up'))
    .reduce((one, other) => (one * other) / greatestDivisor(one, other));
  let places = scale;
  while (places > 0 && units % 10n === 0n) {
    units /= 10n;
    places -= 1;
  }
  return { units, scale: places };
}

function greatestDivisor(one: bigint, other: bigint): bigint {
  return other === 0n ? one : greatestDivisor(other, one % other);
}

/** The numbers between the bounds, in units that all readers can tell apart near the bounds. */
function rangeOf(
  bounds: readonly Bound[],
  step: { readonly units: bigint; readonly scale: number } | undefined,
): NumberRange {
  const decimals = bounds.map(({ value }) => toDecimal(value));
  const isNear = (value: number) => Math.abs(value) < 10 ** maxWholeDigits;
  const wholes = bounds.map(({ value }) =>
    isNear(value) ? String(Math.trunc(Math.abs(value))).length : 0,
  );
  const places = Math.max(fractionDigits, ...decimals.map((each) => each.scale));
  const scale = step?.scale ?? Math.min(places, maxWholeDigits - Math.max(1, ...wholes));
  let [low, high]: [bigint | undefined, bigint | undefined] = [undefined, undefined];
  for (const { value, isUpper, isExclusive } of bounds) {
    // Numbers that are written have fewer digits.
    if (step === undefined && !isNear(value) && isUpper === value > 0) continue;
    const exact = safeDecimal(value, isUpper);
    let units = rescale(exact, scale, isUpper ? 'down' : 'up');
    const isAtBound = units === rescale(exact, scale, isUpper ? 'up' : 'down');
    if (isExclusive && isAtBound) units += isUpper ? -1n : 1n;
    if (isUpper) high = high === undefined || units < high ? units : high;
    else low = low === undefined || units > low ? units : low;
  }
  return { scale, low, high, step: step?.units ?? 1n };
}

/** A bound that no reader's rounding crosses: beyond 2 ** 53 its digits are rounded inward. */
function safeDecimal(value: number, isUpper: boolean): ReturnType<typeof toDecimal> {
  const exact = toDecimal(value);
  if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) return exact;
  const unit = 10n ** BigInt(exact.units.toString().replace('-', '').length - maxWholeDigits);
  return { ...exact, units: roundTo(exact.units, unit, isUpper ? 'down' : 'up') };
}
