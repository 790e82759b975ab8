import { SeededRandom } from './seeded-random.ts';
import { randomText } from './words.ts';

/** What is asked, and what the requests have in common. */
export const workloadNames = ['fixed', 'unique', 'shared-prefix', 'multi-turn'] as const;
export type WorkloadName = (typeof workloadNames)[number];

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** Requests of which each waits for the answer to the one before. */
export interface Session {
  /**
   * Messages of the next request; undefined when the session is over.
   * @param answer - text of the last answer
   */
  next(answer: string): readonly Message[] | undefined;
}

/** Makes the sessions of one run. The same seed gives the same ones. */
export interface Workload {
  session(index: number): Session;
}

/** Turns a number of tokens into one of words, for the model at hand. */
export interface WordScale {
  readonly tokensPerWord: number;
  /** Tokens the chat template puts around a single message. */
  readonly templateTokenCount: number;
}

export interface WorkloadOptions {
  readonly name: WorkloadName;
  /** The one prompt of `fixed`. */
  readonly prompt: string;
  /** Length of each prompt, template included; of the part of its own with `shared-prefix`, of each turn. */
  readonly promptTokenCount: number;
  readonly prefixTokenCount: number;
  readonly turnCount: number;
  readonly scale: WordScale;
  /** What the lengths and words depend on. */
  readonly seed: string;
  /** What the first words depend on beside it: no two runs may find each other's prompts in a cache. */
  readonly mark: string;
}

/** Random words a prompt begins with; two prompts hardly ever begin alike. */
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

/** Texts of so many words; each has a key, the mark decides its first words. */
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
