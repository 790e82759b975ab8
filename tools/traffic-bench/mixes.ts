/**
 * What people do with a server, as scripts of conversations. The same seed gives the same script, so that every
 * contestant receives the same requests.
 */
import { SeededRandom } from '../../src/bench/seeded-random.ts';
import { randomText } from '../../src/bench/words.ts';

/** One request of a conversation, sent when the reply before it was read and thought about. */
export interface Turn {
  readonly userText: string;
  /** Exactly as many tokens are generated, unless the client leaves before. */
  readonly completionTokenCount: number;
  /** Pause between the end of the last reply and this request. */
  readonly thinkingMs: number;
  /** The client closes the connection so long after sending; undefined: it stays to the end. */
  readonly leavesAfterMs: number | undefined;
}

export interface Conversation {
  readonly systemText: string | undefined;
  readonly turns: readonly Turn[];
}

export interface Mix {
  readonly name: MixName;
  /** Tokens that the longest conversation takes, with room for a chat template. */
  readonly contextLength: number;
  /** Draws the conversations of one round. */
  draw(seed: string, count: number): Conversation[];
}

export const mixNames = ['chat', 'retrieval', 'agents', 'editor'] as const;
export type MixName = (typeof mixNames)[number];

/** Most tokenizers need fewer than so many tokens for a word. */
const tokensPerWord = 1.35;

type DrawConversation = (random: SeededRandom, seed: string) => Conversation;

/** People who talk, over one system prompt of an application: three turns with half a second of thinking. */
function drawChat(random: SeededRandom, seed: string): Conversation {
  return {
    // Of the round: every conversation begins with the same words.
    systemText: randomText(new SeededRandom(`${seed}/system`), 150),
    turns: Array.from({ length: 3 }, (_, index) => ({
      userText: randomText(random, random.integer(20, 120)),
      completionTokenCount: random.integer(16, 96),
      thinkingMs: index === 0 ? 0 : 500,
      leavesAfterMs: undefined,
    })),
  };
}

/** A question behind documents that were looked up for it. */
function drawRetrieval(random: SeededRandom): Conversation {
  const words = Math.round(random.integer(2000, 6000) / tokensPerWord);
  return { systemText: undefined, turns: [turnOf(randomText(random, words), 100)] };
}

/** An agent's session: 12,000 tokens of instructions, tools and history, to which each turn adds a twentieth. */
function drawAgents(random: SeededRandom): Conversation {
  const words = (tokens: number) => randomText(random, Math.round(tokens / tokensPerWord));
  return {
    systemText: words(11_000),
    turns: Array.from({ length: 4 }, () => turnOf(words(random.integer(300, 500)), 200)),
  };
}

/** An editor that completes while its user types on: half of the requests are given up. */
function drawEditor(random: SeededRandom): Conversation {
  return {
    systemText: undefined,
    turns: [
      {
        ...turnOf(randomText(random, Math.round(random.integer(500, 1500) / tokensPerWord)), 20),
        leavesAfterMs: random.next() < 0.5 ? random.integer(50, 600) : undefined,
      },
    ],
  };
}

function turnOf(userText: string, completionTokenCount: number): Turn {
  return { userText, completionTokenCount, thinkingMs: 0, leavesAfterMs: undefined };
}

const drawers: Readonly<Record<MixName, { draw: DrawConversation; contextLength: number }>> = {
  chat: { draw: drawChat, contextLength: 1280 },
  retrieval: { draw: drawRetrieval, contextLength: 7168 },
  agents: { draw: drawAgents, contextLength: 16_384 },
  editor: { draw: drawEditor, contextLength: 2048 },
};

export function mixOf(name: MixName): Mix {
  const { draw, contextLength } = drawers[name];
  return {
    name,
    contextLength,
    draw: (seed, count) =>
      Array.from({ length: count }, (_, index) => draw(new SeededRandom(`${seed}/${index}`), seed)),
  };
}
