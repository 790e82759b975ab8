import { SeededRandom } from './seeded-random.ts';
import { randomText } from './words.ts';

/** The prompts of a benchmark, and what they have in common. */
export const workloadNames = ['fixed', 'unique', 'shared-prefix', 'multi-turn'] as const;
export type WorkloadName = (typeof workloadNames)[number];

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** Requests of which each waits for the reply to the previous one. */
export interface Session {
  /**
   * Messages of the next request; undefined when the session is over.
   * @param answer - text of the last answer
   */
  next(answer: string): readonly Message[] | undefined;
}

/** Creates the sessions of one run. The same seed gives the same sessions. */
export interface Workload {
  session(index: number): Session;
}

/** Converts a number of tokens to a number of words, for one model. */
export interface WordScale {
  readonly tokensPerWord: number;
  /** Tokens that the chat template adds to a single message. */
  readonly templateTokenCount: number;
}

export interface WorkloadOptions {
  readonly name: WorkloadName;
  /** The one prompt of `fixed`. */
  readonly prompt: string;
  /** Length of each prompt with its template: of the part behind the prefix with `shared-prefix`, of each turn. */
  readonly promptTokenCount: number;
  readonly prefixTokenCount: number;
  readonly turnCount: number;
  readonly scale: WordScale;
  /** Determines lengths and words. */
  readonly seed: string;
  /** Determines the first words as well: no two runs may share cached prompts. */
  readonly mark: string;
}

/** First random words of a prompt: enough that two prompts hardly ever begin with the same words. */
const markWordCount = 4;

export function createWorkload(options: WorkloadOptions): Workload {
  switch (options.name) {
    case 'fixed':
      return { session: () => singleRequest([{ role: 'user', content: options.prompt }]) };
    case 'unique': {
      const text = textSource(options);
      const wordCount = wordsFor(options.promptTokenCount, options.scale);
      return {
        session: (index) => singleRequest([{ role: 'user', content: text(wordCount, index) }]),
      };
    }
    case 'shared-prefix':
      return sharedPrefix(options);
    case 'multi-turn':
      return multiTurn(options);
    default:
      return options.name satisfies never;
  }
}

function sharedPrefix(options: WorkloadOptions): Workload {
  const { scale } = options;
  const text = textSource(options);
  const content = text(bareWordsFor(options.prefixTokenCount, scale), 'prefix');
  const wordCount = wordsFor(options.promptTokenCount, scale);
  return {
    session: (index) =>
      singleRequest([
        { role: 'system', content },
        { role: 'user', content: text(wordCount, index) },
      ]),
  };
}

function multiTurn(options: WorkloadOptions): Workload {
  const text = textSource(options);
  const wordCount = wordsFor(options.promptTokenCount, options.scale);
  return {
    session: (index) => {
      let messages: Message[] = [];
      let turn = 0;
      return {
        next(answer) {
          if (turn === options.turnCount) return undefined;
          if (turn > 0) messages = [...messages, { role: 'assistant', content: answer }];
          turn += 1;
          const content = text(wordCount, `${index}/${turn}`);
          messages = [...messages, { role: 'user', content }];
          return messages;
        },
      };
    },
  };
}

function singleRequest(messages: readonly Message[]): Session {
  let isSent = false;
  return {
    next() {
      if (isSent) return undefined;
      isSent = true;
      return messages;
    },
  };
}

/** Texts of a number of words, by key; the mark determines their first words. */
function textSource({ seed, mark }: WorkloadOptions) {
  return (wordCount: number, key: number | string): string => {
    const markCount = Math.min(markWordCount, wordCount);
    const start = randomText(new SeededRandom(`${seed}/${mark}/${key}`), markCount);
    const rest = randomText(new SeededRandom(`${seed}/${key}`), wordCount - markCount);
    return rest === '' ? start : `${start} ${rest}`;
  };
}

function wordsFor(tokenCount: number, scale: WordScale): number {
  return bareWordsFor(tokenCount - scale.templateTokenCount, scale);
}

function bareWordsFor(tokenCount: number, { tokensPerWord }: WordScale): number {
  return Math.max(1, Math.round(tokenCount / tokensPerWord));
}
