/** Strings, numbers and counts of a schema, as llama.cpp's converter enforces them exactly. */
import { type JsonPattern, patternOfLength, readPattern } from './pattern.ts';
import { join } from './schema-keywords.ts';
import type { RawSchema } from './schema-merge.ts';
import { type SchemaReading, schemaLimits } from './schema-reading.ts';
import { formatPatterns } from './string-formats.ts';

/** The largest integer that is enforced: 15 digits. */
const maxInteger = 999_999_999_999_999;

/** A string; a length, a pattern or a format becomes a pattern. */
export function readString(schema: RawSchema, path: string, reading: SchemaReading): RawSchema {
  const min = readCount(schema, 'minLength', { limit: schemaLimits.length, path, reading });
  const max = readCount(schema, 'maxLength', { limit: schemaLimits.length, path, reading });
  if (max !== undefined && (min ?? 0) > max) {
    reading.refuse(join(path, 'minLength'), 'is more than `maxLength`');
    return { type: 'string' };
  }
  const shape = shapeOf(schema, path, reading);
  if (shape === undefined) {
    if ((min ?? 0) === 0 && max === undefined) return { type: 'string' };
    return toPattern(patternOfLength(min ?? 0, max ?? Number.POSITIVE_INFINITY), path, reading);
  }
  if (shape.minLength < (min ?? 0)) {
    reading.refuse(join(path, 'minLength'), 'cannot be enforced beside a pattern that allows less');
  }
  if (shape.maxLength > (max ?? Number.POSITIVE_INFINITY)) {
    reading.refuse(join(path, 'maxLength'), 'cannot be enforced beside a pattern that allows more');
  }
  return toPattern(shape, path, reading);
}

function toPattern({ source, cost }: JsonPattern, path: string, reading: SchemaReading): RawSchema {
  reading.countRepetitions(cost, path);
  reading.changed = true;
  return { type: 'string', pattern: source };
}

/** The strings that `pattern` or `format` allow; undefined for any string. */
function shapeOf(schema: RawSchema, path: string, reading: SchemaReading): JsonPattern | undefined {
  const { pattern, format } = schema;
  if (pattern !== undefined) {
    if (format !== undefined) {
      reading.refuse(join(path, 'format'), 'cannot be enforced beside `pattern`');
    }
    return readShape(pattern, join(path, 'pattern'), reading);
  }
  if (format === undefined) return undefined;
  const source = typeof format === 'string' ? formatPatterns.get(format) : undefined;
  if (source !== undefined) return readShape(source, join(path, 'format'), reading);
  const known = [...formatPatterns.keys()].map((name) => `\`${name}\``).join(', ');
  reading.refuse(join(path, 'format'), `can be enforced only for ${known}`);
  return undefined;
}

function readShape(
  pattern: unknown,
  path: string,
  reading: SchemaReading,
): JsonPattern | undefined {
  if (typeof pattern !== 'string' || pattern.length > 1000) {
    reading.refuse(path, 'must be a string of at most 1000 characters');
    return undefined;
  }
  reading.countPattern(pattern.length, path);
  try {
    return readPattern(pattern);
  } catch (error) {
    reading.refuse(path, error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

/** A number, or an integer between bounds. */
export function readNumber(
  schema: RawSchema,
  type: 'number' | 'integer',
  path: string,
  reading: SchemaReading,
): RawSchema {
  const { multipleOf } = schema;
  const isInteger = type === 'integer' || multipleOf === 1;
  if (multipleOf !== undefined && multipleOf !== 1) {
    reading.refuse(join(path, 'multipleOf'), 'cannot be enforced');
  }
  const bound = (keyword: string, isUpper: boolean, step: number): number[] => {
    const value = schema[keyword];
    if (value === undefined) return [];
    const at = join(path, keyword);
    if (!isInteger) {
      reading.refuse(at, 'can be enforced for integers only');
      return [];
    }
    if (typeof value !== 'number' || !(Math.abs(value) <= maxInteger)) {
      reading.refuse(at, `must be a number between -${maxInteger} and ${maxInteger}`);
      return [];
    }
    if (step === 0) return [isUpper ? Math.floor(value) : Math.ceil(value)];
    return [isUpper ? Math.ceil(value) - step : Math.floor(value) + step];
  };
  const lows = [...bound('minimum', false, 0), ...bound('exclusiveMinimum', false, 1)];
  const highs = [...bound('maximum', true, 0), ...bound('exclusiveMaximum', true, 1)];
  if (!isInteger) return { type: 'number' };
  if (lows.length + highs.length === 0) return { type: 'integer' };
  // With a single bound llama.cpp accepts numbers of fewer digits beyond it.
  const minimum = Math.max(-maxInteger, ...lows) + 0;
  const maximum = Math.min(maxInteger, ...highs) + 0;
  if (minimum > maximum) {
    reading.refuse(join(path, 'minimum'), 'leaves no integer');
    return { type: 'integer' };
  }
  return { type: 'integer', minimum, maximum };
}

/** @returns undefined where the keyword is absent or was refused */
export function readCount(
  schema: RawSchema,
  keyword: string,
  at: { readonly limit: number; readonly path: string; readonly reading: SchemaReading },
): number | undefined {
  const { limit, path, reading } = at;
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= limit) {
    return value;
  }
  reading.refuse(join(path, keyword), `must be an integer between 0 and ${limit}`);
  return undefined;
}
