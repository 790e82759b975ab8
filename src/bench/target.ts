import { StartError } from '../core/start-error.ts';
import { BenchClient, type ChatOutcome, type ChatTiming } from './client.ts';
import { type Failure, failureName, isRecord, RequestError } from './failure.ts';
import { SeededRandom } from './seeded-random.ts';
import { randomText } from './words.ts';
import type { Message, WordScale } from './workload.ts';

export type TargetName = 'server' | 'peer';

export interface TargetOptions {
  readonly name: TargetName;
  readonly url: URL;
  readonly apiKey: string | undefined;
  /** Undefined: the first model that the server lists. */
  readonly model: string | undefined;
  readonly timeoutMs: number;
  readonly ignoreEos: boolean;
}

/** Fields that a server may refuse; requests then lack them. */
type OptionalField = 'ignore_eos' | 'stream_options';

const withoutField: Readonly<Record<OptionalField, string>> = {
  ignore_eos: 'it refuses ignore_eos: completions may be shorter than --max-tokens',
  stream_options: 'it refuses stream_options: tokens are counted as deltas of the stream',
};

const wordsAsTokens: WordScale = { tokensPerWord: 1, templateTokenCount: 0 };

/** Words of the prompt that, sent once and twice, reveals the tokens per word and of the template. */
const probeWordCount = 40;

/** A server under test: its model, the fields that it accepts, and how it counts tokens. */
export class Target {
  readonly name: TargetName;
  readonly client: BenchClient;
  readonly modelId: string | undefined;
  /** Remarks about this server for the report. */
  readonly notes = new Set<string>();
  readonly #fields: Set<OptionalField>;

  private constructor(
    name: TargetName,
    client: BenchClient,
    modelId: string | undefined,
    fields: Set<OptionalField>,
  ) {
    this.name = name;
    this.client = client;
    this.modelId = modelId;
    this.#fields = fields;
  }

  /**
   * Finds the server, its model and the fields that it accepts, with one request of one token.
   * @throws {StartError} exit code 1 when the server cannot be reached or would refuse every request
   */
  static async connect(options: TargetOptions, signal: AbortSignal): Promise<Target> {
    const client = new BenchClient(options);
    try {
      const { modelId, note } = await findModel(client, options, signal);
      const fields = new Set<OptionalField>(['stream_options']);
      if (options.ignoreEos) fields.add('ignore_eos');
      const target = new Target(options.name, client, modelId, fields);
      if (note !== undefined) target.notes.add(note);
      await target.#tryOnce(signal);
      return target;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /**
   * Finds the server, for requests that generate nothing.
   * @throws {StartError} exit code 1 when the server cannot be reached
   */
  static async reach(options: TargetOptions, signal: AbortSignal): Promise<Target> {
    const client = new BenchClient(options);
    try {
      await client.get('/ping', { connection: 'new', signal });
    } catch (error) {
      if (error instanceof RequestError) throwIfHopeless(client.baseUrl, error.failure);
    }
    return new Target(options.name, client, undefined, new Set());
  }

  /** Streams one completion, greedily. */
  chat(
    messages: readonly Message[],
    maxTokens: number,
    timing: ChatTiming,
  ): Promise<ChatOutcome | undefined> {
    const body = {
      ...(this.modelId !== undefined && { model: this.modelId }),
      messages,
      max_tokens: maxTokens,
      temperature: 0,
      stream: true,
      ...(this.#fields.has('stream_options') && { stream_options: { include_usage: true } }),
      ...(this.#fields.has('ignore_eos') && { ignore_eos: true }),
    };
    return this.client.chat(body, timing);
  }

  /**
   * Measures the tokens per word of this model, with a text, the same text twice, and then a text of the wanted length.
   * Where the server does not count tokens, a word counts as a token.
   */
  async measureWords(tokenCount: number, seed: string, signal: AbortSignal): Promise<WordScale> {
    const text = (words: number) => randomText(new SeededRandom(`${seed}/${words}`), words);
    const probe = text(probeWordCount);
    const once = await this.#countPrompt(probe, signal);
    const twice = await this.#countPrompt(`${probe} ${probe}`, signal);
    if (once === undefined || twice === undefined) {
      if (signal.aborted) return wordsAsTokens;
      this.notes.add('it does not count prompt tokens: one word of a prompt counts as one token');
      return wordsAsTokens;
    }
    const tokensPerWord = Math.max(0.1, (twice - once) / probeWordCount);
    const templateTokenCount = Math.max(0, 2 * once - twice);
    const words = Math.round((tokenCount - templateTokenCount) / tokensPerWord);
    if (words <= 2 * probeWordCount) return { tokensPerWord, templateTokenCount };
    const actual = await this.#countPrompt(text(words), signal);
    return {
      tokensPerWord:
        actual === undefined ? tokensPerWord : Math.max(0.1, (actual - templateTokenCount) / words),
      templateTokenCount,
    };
  }

  async #countPrompt(content: string, signal: AbortSignal): Promise<number | undefined> {
    const outcome = await this.chat([{ role: 'user', content }], 1, { signal });
    return outcome?.ok === true ? outcome.completion.tokens.prompt : undefined;
  }

  async #tryOnce(signal: AbortSignal): Promise<void> {
    const messages: readonly Message[] = [{ role: 'user', content: 'Hello' }];
    for (;;) {
      const outcome = await this.chat(messages, 1, { signal });
      if (outcome === undefined) return;
      if (outcome.ok) {
        if (
          outcome.completion.tokens.countedBy === 'deltas' &&
          this.#fields.has('stream_options')
        ) {
          this.notes.add('it sends no usage: tokens are counted as deltas of the stream');
        }
        return;
      }
      const refused = [...this.#fields].find((field) => isRefusalOf(field, outcome.failure));
      if (refused === undefined) {
        this.#judge(outcome.failure);
        return;
      }
      this.#fields.delete(refused);
      this.notes.add(withoutField[refused]);
    }
  }

  /** Some failures will affect every request; others may pass and are counted in the run. */
  #judge(failure: Failure): void {
    throwIfHopeless(this.client.baseUrl, failure);
    if (failure.status !== undefined && failure.status < 500 && failure.status !== 429) {
      throw new StartError(
        1,
        `${this.client.baseUrl}/v1/chat/completions refuses the request (${failureName(failure)}): ${failure.message}`,
      );
    }
    this.notes.add(`its first request failed (${failureName(failure)}): ${failure.message}`);
  }
}

async function findModel(
  client: BenchClient,
  { model }: TargetOptions,
  signal: AbortSignal,
): Promise<{ readonly modelId: string | undefined; readonly note?: string }> {
  if (model !== undefined) return { modelId: model };
  const unnamed = (why: string) => ({
    modelId: undefined,
    note: `requests name no model, since its /v1/models ${why}; --model names one`,
  });
  let reply: Awaited<ReturnType<BenchClient['get']>>;
  try {
    reply = await client.get('/v1/models', { connection: 'kept', signal });
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    throwIfHopeless(client.baseUrl, error.failure);
    return unnamed(`failed: ${error.failure.message}`);
  }
  if (reply.status !== 200) {
    throwIfHopeless(client.baseUrl, { kind: 'status', status: reply.status, message: '' });
    return unnamed(`answers ${reply.status}`);
  }
  const modelId = firstId(reply.body);
  return modelId === undefined ? unnamed('lists none') : { modelId };
}

function firstId(body: string): string | undefined {
  try {
    const list: unknown = JSON.parse(body);
    const [first] = isRecord(list) && Array.isArray(list.data) ? (list.data as unknown[]) : [];
    return isRecord(first) && typeof first.id === 'string' ? first.id : undefined;
  } catch {
    return undefined;
  }
}

/** @throws {StartError} when the server cannot be reached, or does not accept the key */
function throwIfHopeless(baseUrl: string, failure: Failure): void {
  const { kind, status, code, message } = failure;
  if (kind === 'connect' || kind === 'connect-timeout') {
    const reason = code === 'ECONNREFUSED' ? 'connection refused, is the server running?' : message;
    throw new StartError(1, `${baseUrl} is not reachable: ${reason}`);
  }
  if (status === 401 || status === 403) {
    const said = message === '' ? '' : `: ${message}`;
    throw new StartError(
      1,
      `${baseUrl} refuses the API key, or the lack of one (${status})${said}`,
    );
  }
}

function isRefusalOf(field: OptionalField, { status, message }: Failure): boolean {
  return (status === 400 || status === 422) && message.includes(field);
}
