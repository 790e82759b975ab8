/**
 * Regular expressions of JSON schemas, rewritten to a form that llama.cpp's converter reads correctly. The converter
 * copies a pattern's characters into a JSON string as they are; here every character becomes its form in a JSON
 * string: a quotation mark its escape, a control character its escape or nothing.
 */
import { checkAmbiguity } from './ambiguity.ts';
import {
  type GrammarNode,
  isInRanges,
  maxRepetition,
  type Ranges,
  subtractRanges,
} from './grammar-node.ts';
import { lengthsOf } from './pattern-length.ts';
import { anything } from './pattern-parser.ts';

/** A pattern for llama.cpp's converter. */
export interface JsonPattern {
  /** Anchored at both ends. */
  readonly source: string;
  /** In characters of the strings it allows. */
  readonly minLength: number;
  /** Infinity without a bound. */
  readonly maxLength: number;
  /** Approximate number of grammar rules. */
  readonly cost: number;
}

/** Characters that a JSON string holds as an escape of two characters, and the second one. */
const jsonEscapes: readonly (readonly [number, string])[] = [
  [0x22, '"'],
  [0x5c, '\\'],
  [0x08, 'b'],
  [0x09, 't'],
  [0x0a, 'n'],
  [0x0c, 'f'],
  [0x0d, 'r'],
];

/** Characters that a JSON string does not hold as they are, and DEL, which llama.cpp leaves out. */
const unwritable: Ranges = [
  [0x00, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0x7f, 0x7f],
  [0xd800, 0xdfff],
];

/** Repetitions that stand in one bracket; more become repetitions of repetitions, which need fewer rules. */
const maxPlainRepetition = 128;
const chunkSize = 64;

/** Work of the check for ambiguity: a schema may have many patterns. */
const maxWork = 100_000;

/**
 * The pattern of `node`.
 * @throws {Error} for a pattern that cannot be enforced; the message ends a sentence about it
 */
export function emitPattern(node: GrammarNode): JsonPattern {
  const { source, ...facts } = emitNode(node);
  checkAmbiguity(new Map([['pattern', node]]), maxWork);
  return { source: `^${source}$`, ...facts };
}

/** Strings of `min` to `max` characters. */
export function textOfLength(min: number, max: number): GrammarNode {
  return { type: 'repeat', item: { type: 'set', ranges: anything }, min, max };
}

function emitNode(node: GrammarNode): JsonPattern {
  switch (node.type) {
    case 'set':
      return { source: emitSet(node.ranges), minLength: 1, maxLength: 1, cost: 1 };
    case 'sequence': {
      const parts = node.items.map((item) => emitNode(item));
      const sum = (each: (part: JsonPattern) => number) =>
        parts.reduce((all, part) => all + each(part), 0);
      return {
        source: parts.map(({ source }) => source).join(''),
        minLength: sum(({ minLength }) => minLength),
        maxLength: sum(({ maxLength }) => maxLength),
        cost: sum(({ cost }) => cost),
      };
    }
    case 'choice': {
      const parts = node.items.map((item) => emitNode(item));
      return {
        source: `(${parts.map(({ source }) => source).join('|')})`,
        minLength: Math.min(...parts.map(({ minLength }) => minLength)),
        maxLength: Math.max(...parts.map(({ maxLength }) => maxLength)),
        cost: parts.reduce((all, { cost }) => all + cost, 1),
      };
    }
    case 'repeat':
      return emitRepeat(node);
    case 'rule':
      throw new Error('refers to a rule');
  }
}

function emitRepeat({ item, min, max }: Extract<GrammarNode, { type: 'repeat' }>): JsonPattern {
  const part = emitNode(item);
  if (max === 0 || part.maxLength === 0) {
    return { source: '', minLength: 0, maxLength: 0, cost: 0 };
  }
  if (!Number.isFinite(max) && part.minLength === 0) {
    throw new Error('repeats without end what may be empty');
  }
  const lengths = lengthsOf(item);
  const isFixed = lengths.min === lengths.max;
  if ((Number.isFinite(max) ? max : min) > maxRepetition && !isFixed) {
    throw new Error(`repeats more than ${maxRepetition} times`);
  }
  const group = { source: `(${part.source})`, cost: part.cost };
  const { source, cost } = isFixed ? inChunks(group, min, max) : plainly(group, min, max);
  return { source, cost, minLength: part.minLength * min, maxLength: part.maxLength * max };
}

type Source = Pick<JsonPattern, 'source' | 'cost'>;

function plainly({ source: group, cost }: Source, min: number, max: number): Source {
  const total = cost * Math.max(min, 1) + (Number.isFinite(max) ? max - min : 1);
  return { source: repeatedSource(group, min, max), cost: total };
}

function repeatedSource(group: string, min: number, max: number): string {
  if (!Number.isFinite(max))
    return min > 1 ? `${group}{${min}}${group}*` : group + (min ? '+' : '*');
  if (min === 1 && max === 1) return group;
  if (min === 0 && max === 1) return `${group}?`;
  return min === max ? `${group}{${min}}` : `${group}{${min},${max}}`;
}

/** Repetitions of a group of one length. A text then has one reading for each size of chunk at most. */
function inChunks(group: Source, min: number, max: number): Source {
  const isShort = min <= maxPlainRepetition && (!Number.isFinite(max) || max <= maxPlainRepetition);
  if (isShort) return plainly(group, min, max);
  if (!Number.isFinite(max)) return joined(exactly(group, min), plainly(group, 0, max));
  return joined(exactly(group, min), upTo(group, max - min));
}

function exactly(group: Source, count: number): Source {
  if (count === 0) return { source: '', cost: 0 };
  if (count <= maxPlainRepetition) return plainly(group, count, count);
  return joined(exactly(chunkOf(group), Math.floor(count / chunkSize)), {
    ...exactly(group, count % chunkSize),
  });
}

function upTo(group: Source, count: number): Source {
  if (count === 0) return { source: '', cost: 0 };
  if (count <= maxPlainRepetition) return plainly(group, 0, count);
  // The rest behind the chunks has at least one character less than a chunk, so that no length is left out.
  const chunks = Math.floor((count - chunkSize + 1) / chunkSize);
  return joined(upTo(chunkOf(group), chunks), plainly(group, 0, count - chunks * chunkSize));
}

function chunkOf({ source, cost }: Source): Source {
  return { source: `(${source}{${chunkSize}})`, cost: cost + chunkSize };
}

function joined(one: Source, other: Source): Source {
  return { source: one.source + other.source, cost: one.cost + other.cost };
}

/** The characters as a JSON string holds them. */
function emitSet(ranges: Ranges): string {
  const has = (code: number) => isInRanges(ranges, code);
  const plain = subtractRanges(ranges, unwritable);
  const choices = jsonEscapes
    .filter(([code]) => has(code))
    .map(([, second]) => `[\\\\]${emitClass([[second.charCodeAt(0), second.charCodeAt(0)]])}`);
  if (plain.length > 0) choices.unshift(emitClass(plain));
  if (choices.length === 0) throw new Error('asks for a character that JSON cannot hold');
  return choices.length === 1 ? (choices[0] as string) : `(${choices.join('|')})`;
}

function emitClass(ranges: Ranges): string {
  return `[${ranges
    .map(([low, high]) => (low === high ? emitCode(low) : `${emitCode(low)}-${emitCode(high)}`))
    .join('')}]`;
}

function emitCode(code: number): string {
  const character = String.fromCodePoint(code);
  if (/^[0-9A-Za-z]$/.test(character)) return character;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}
