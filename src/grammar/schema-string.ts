/** Strings of a schema: a length, a pattern or a format becomes a pattern. */
import { readCounts } from './schema-count.ts';
import { join } from './schema-keywords.ts';
import { Every, type RawSchema } from './schema-merge.ts';
import { type SchemaReading, schemaLimits } from './schema-reading.ts';
import { formatPatterns } from './string-formats.ts';
import { type StringLimits, type StringShape, shapeOfString } from './string-shape.ts';

export function readString(schema: RawSchema, path: string, reading: SchemaReading): RawSchema {
  const limits = limitsOf(schema, path, reading);
  if (isFree(limits)) return { type: 'string' };
  if (!reading.canAnalyse && limits.patterns.length > 0) {
    reading.refuse(join(path, 'pattern'), 'is one of too many patterns that are hard to analyse');
    return { type: 'string' };
  }
  const { result: shape } = reading.counted(shapeOfString(limits));
  if ('pattern' in shape) {
    if (!shape.exact) reading.tighten(join(path, keywordsOf(limits)[0] ?? 'pattern'));
    return toPattern(shape, path, limits, reading);
  }
  const keywords = keywordsOf(limits);
  reading.refuse(join(path, keywords.at(-1) ?? 'pattern'), shape.reason);
  return looserString(limits, path, reading);
}

function isFree({ patterns, format, lengths }: StringLimits): boolean {
  const isOfAnyLength = lengths.min === 0 && lengths.max === Number.POSITIVE_INFINITY;
  return patterns.length === 0 && format === undefined && isOfAnyLength;
}

/** What remains in a relaxed schema: lengths go first, then lookaheads, then the pattern. */
function looserString(limits: StringLimits, path: string, reading: SchemaReading): RawSchema {
  const [pattern] = limits.patterns;
  const free = { min: 0, max: Number.POSITIVE_INFINITY };
  const attempts: StringLimits[] = [
    { ...limits, isLoose: true },
    ...(limits.patterns.length > 0 ? [{ ...limits, lengths: free, isLoose: true }] : []),
    ...(pattern === undefined ? [] : [{ patterns: [pattern], lengths: free, isLoose: true }]),
    { patterns: [], format: limits.format, lengths: limits.lengths },
    { patterns: [], lengths: limits.lengths },
  ];
  for (const attempt of attempts) {
    if (isFree(attempt) || !reading.canAnalyse) break;
    const { result: shape } = reading.counted(shapeOfString(attempt));
    if ('pattern' in shape) return toPattern(shape, path, attempt, reading);
  }
  return { type: 'string' };
}

function toPattern(
  { pattern }: StringShape,
  path: string,
  limits: StringLimits,
  reading: SchemaReading,
): RawSchema {
  const keyword = keywordsOf(limits).at(-1) ?? 'pattern';
  if (!reading.countRepetitions(pattern.cost, join(path, keyword))) return { type: 'string' };
  reading.changed = true;
  const { min, max } = limits.lengths;
  const isOfLengthsOnly = limits.patterns.length === 0 && limits.format === undefined;
  return {
    type: 'string',
    pattern: pattern.source,
    // For chat formats that write strings raw; llama.cpp's converter reads the pattern alone.
    ...(isOfLengthsOnly && min > 0 && { minLength: min }),
    ...(isOfLengthsOnly && max < Number.POSITIVE_INFINITY && { maxLength: max }),
  };
}

/** The keywords that `limits` come from, lengths last. */
function keywordsOf({ patterns, format, lengths }: StringLimits): string[] {
  return [
    ...(patterns.length > 0 ? ['pattern'] : []),
    ...(format !== undefined && patterns.length === 0 ? ['format'] : []),
    ...(lengths.min > 0 ? ['minLength'] : []),
    ...(lengths.max < Number.POSITIVE_INFINITY ? ['maxLength'] : []),
  ];
}

export function limitsOf(schema: RawSchema, path: string, reading: SchemaReading): StringLimits {
  const limit = schemaLimits.length;
  const { min, max } = readCounts(schema, ['minLength', 'maxLength'], { limit, path, reading });
  const at = join(path, 'pattern');
  const patterns = Every.values(schema.pattern).filter((pattern): pattern is string => {
    if (typeof pattern === 'string' && pattern.length <= 4000) {
      return reading.countPattern(pattern, at);
    }
    reading.refuse(at, 'must be a string of at most 4000 characters');
    return false;
  });
  const [format, ...otherFormats] = readFormats(schema, path, reading);
  // Beside a pattern a format is an annotation; it serves where the pattern cannot be enforced.
  if (format !== undefined && patterns.length > 0) reading.ignore(join(path, 'format'));
  for (const other of otherFormats) patterns.push(formatPatterns.get(other) as string);
  return {
    patterns,
    format,
    lengths: { min: min ?? 0, max: max ?? Number.POSITIVE_INFINITY },
  };
}

/** The known formats; every other one is an annotation. */
function readFormats(schema: RawSchema, path: string, reading: SchemaReading): string[] {
  const at = join(path, 'format');
  const formats = Every.values(schema.format).filter((format) => {
    if (typeof format === 'string' && formatPatterns.has(format)) return true;
    if (typeof format !== 'string') reading.refuse(at, 'must be a string');
    else reading.ignore(at);
    return false;
  });
  if (formats.length < Every.values(schema.format).length) reading.changed = true;
  return formats as string[];
}
