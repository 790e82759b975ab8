/** Sends conversations to one server, as a number of users or as they arrive by chance, and measures every request. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchClient } from '../../src/bench/client.ts';
import { SeededRandom } from '../../src/bench/seeded-random.ts';
import type { Conversation, Turn } from './mixes.ts';

/**
 * How conversations arrive. Closed: each of the users begins the next one when the last one has ended. Open: they arrive
 * as a Poisson process, whether the server keeps up or not.
 */
export type Arrivals =
  | { readonly kind: 'closed'; readonly userCount: number }
  | { readonly kind: 'open'; readonly conversationsPerSecond: number };

/** One request that was answered to its end. Times are milliseconds. */
export interface Sample {
  /** 1 for the first turn of a conversation. */
  readonly turn: number;
  readonly firstTokenMs: number;
  /** Pauses between the tokens that a client sees, one for each token after the first read. */
  readonly gapsMs: readonly number[];
  readonly promptTokenCount: number;
  readonly cachedTokenCount: number;
  readonly completionTokenCount: number;
}

export interface TrafficRun {
  readonly samples: readonly Sample[];
  /** From the first request to the end of the last. */
  readonly seconds: number;
  /** Requests that the client gave up, as its script said. */
  readonly leftCount: number;
  /** What servers said of requests that failed. */
  readonly failures: readonly string[];
}

interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export async function runTraffic(options: {
  readonly client: BenchClient;
  readonly modelId: string;
  readonly conversations: readonly Conversation[];
  readonly arrivals: Arrivals;
  readonly seed: string;
  readonly onConversation?: () => void;
}): Promise<TrafficRun> {
  const { conversations, arrivals } = options;
  const traffic = new Traffic(options.client, options.modelId);
  const startedAt = performance.now();
  const run = async (conversation: Conversation) => {
    await traffic.converse(conversation);
    options.onConversation?.();
  };
  if (arrivals.kind === 'closed') {
    const waiting = [...conversations];
    await Promise.all(
      Array.from({ length: arrivals.userCount }, async () => {
        for (let next = waiting.shift(); next; next = waiting.shift()) await run(next);
      }),
    );
  } else {
    const random = new SeededRandom(`${options.seed}/arrivals`);
    let atMs = 0;
    await Promise.all(
      conversations.map(async (conversation) => {
        const arrivesAtMs = atMs;
        atMs += (-Math.log(1 - random.next()) * 1000) / arrivals.conversationsPerSecond;
        await sleep(startedAt + arrivesAtMs - performance.now());
        await run(conversation);
      }),
    );
  }
  return { ...traffic.result(), seconds: (performance.now() - startedAt) / 1000 };
}

class Traffic {
  readonly #client: BenchClient;
  readonly #modelId: string;
  readonly #samples: Sample[] = [];
  readonly #failures: string[] = [];
  #leftCount = 0;

  constructor(client: BenchClient, modelId: string) {
    this.#client = client;
    this.#modelId = modelId;
  }

  async converse({ systemText, turns }: Conversation): Promise<void> {
    const messages: Message[] = [];
    if (systemText !== undefined) messages.push({ role: 'system', content: systemText });
    for (const [index, turn] of turns.entries()) {
      await sleep(turn.thinkingMs);
      messages.push({ role: 'user', content: turn.userText });
      const reply = await this.#ask(messages, turn, index + 1);
      if (reply === undefined) return;
      messages.push({ role: 'assistant', content: reply });
    }
  }

  /** @returns the reply's text; undefined without one */
  async #ask(
    messages: readonly Message[],
    turn: Turn,
    number: number,
  ): Promise<string | undefined> {
    const { completionTokenCount, leavesAfterMs } = turn;
    const body = {
      model: this.#modelId,
      messages,
      max_tokens: completionTokenCount,
      temperature: 0,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
      // Names of the prefix cache that llama-server knows.
      cache_prompt: true,
    };
    const signal = leavesAfterMs === undefined ? undefined : AbortSignal.timeout(leavesAfterMs);
    const outcome = await this.#client.chat(body, signal ? { signal } : {});
    if (outcome === undefined) {
      this.#leftCount += 1;
      return undefined;
    }
    if (!outcome.ok) {
      this.#failures.push(`${outcome.failure.kind}: ${outcome.failure.message}`);
      return undefined;
    }
    const { tokens, ttftMs, interTokenMs, text } = outcome.completion;
    this.#samples.push({
      turn: number,
      firstTokenMs: ttftMs ?? Number.NaN,
      gapsMs: interTokenMs,
      promptTokenCount: tokens.prompt ?? 0,
      cachedTokenCount: tokens.cached,
      completionTokenCount: tokens.completion,
    });
    return text;
  }

  result() {
    return { samples: this.#samples, failures: this.#failures, leftCount: this.#leftCount };
  }
}
