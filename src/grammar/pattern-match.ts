/** Comparisons of texts and patterns of a schema: many properties, values and patterns may meet each other. */
import { countWork, isWorkSpent } from './analysis-work.ts';
import { type PatternNode, parsePattern } from './pattern-parser.ts';
import { GrammarProblem } from './problem.ts';
import { haveCommon, matches } from './regular.ts';

/** Parsed patterns; undefined for one that cannot be read. */
const parsed = new Map<string, PatternNode | undefined>();
const maxParsedCount = 500;

/**
 * Whether a text matches; true as well for a pattern that cannot be read.
 * @throws {GrammarProblem} when the work of the schema is spent
 */
export function patternMatches(pattern: string, text: string): boolean {
  countComparison();
  const node = nodeOf(pattern);
  return node === undefined || matches(node, text);
}

/** Whether some text matches both; true as well where that is not known. Throws like {@link patternMatches}. */
export function patternsOverlap(one: string, other: string): boolean {
  countComparison();
  const [first, second] = [nodeOf(one), nodeOf(other)];
  return first === undefined || second === undefined || haveCommon(first, second);
}

function countComparison(): void {
  if (isWorkSpent()) throw new GrammarProblem('', 'has patterns that take too long to compare');
  countWork(1);
}

function nodeOf(pattern: string): PatternNode | undefined {
  if (parsed.has(pattern)) return parsed.get(pattern);
  let node: PatternNode | undefined;
  try {
    countWork(pattern.length);
    node = parsePattern(pattern);
  } catch {
    // Refused where it is read; until then it counts for every text.
  }
  if (parsed.size >= maxParsedCount) parsed.clear();
  parsed.set(pattern, node);
  return node;
}
