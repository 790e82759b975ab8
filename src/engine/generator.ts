/** The contract of text generation: prompts are prepared, completions are streamed from them. */
import type { ChatMessage, ChatOptions, ReplyFormat } from './chat.ts';
import type { LogprobOptions, TokenLogprob } from './logprobs.ts';
import type { SamplingDescription, SamplingParams } from './sampling-params.ts';
import type { TokenRules } from './token-rules.ts';

/** A prompt without a template: text, text with a gap to fill, or tokens. */
export type PlainPrompt =
  | { readonly text: string }
  | InfillPrompt
  | { readonly tokens: readonly number[] };

/** A text with a gap to fill. */
export interface InfillPrompt {
  readonly prefix: string;
  readonly suffix: string;
  /** Follows the prefix; control tokens in it are recognised. */
  readonly prompt?: string;
  /** Other texts of the same project, the most important last; with it the prompt has names of files. */
  readonly extra?: readonly InfillChunk[];
  /**
   * Room for the whole prompt. What does not fit is left out: the first texts of `extra`, then the beginning of the
   * prefix and the end of the suffix. Default: no limit.
   */
  readonly maxTokenCount?: number;
}

/** A text of a project. */
export interface InfillChunk {
  /** Default: `tmp`. */
  readonly filename?: string;
  readonly text: string;
}

/** A prompt that a worker thread rendered and tokenized. Opaque: the tokens stay native. */
export interface PreparedPrompt {
  /** The request field that the prompt was made from; errors about its length name it. */
  readonly field: 'messages' | 'prompt' | 'input';
  readonly tokenCount: number;
  /** True if replies can have parts beside content: reasoning, tool calls. */
  readonly structured: boolean;
  /** A part of the request was left out, for lack of room. */
  readonly cut?: true;
  /** Valid only for the generator that prepared it. */
  readonly handle: unknown;
}

/** One completion to be generated from a prepared prompt. */
export interface EngineRequest {
  readonly prompt: PreparedPrompt;
  /**
   * Maximum completion tokens. Default: the engine's, or the remaining context if that is less. With 0 the
   * sequence ends once its prompt is computed.
   */
  readonly maxTokens?: number;
  /** Milliseconds from the first token, after which the next line break ends the completion. Default: no limit. */
  readonly maxDecodeMs?: number;
  /** Blanks that each line behind the first must begin with; a line with less ends the completion. Default: 0. */
  readonly minIndent?: number;
  /**
   * Texts that end the completion. They match across token borders and never appear in the output, unless
   * `showStops` is set.
   */
  readonly stop?: readonly string[];
  /** The output includes the text that ends it: a stop text, or the text of an end token. */
  readonly showStops?: boolean;
  /** The output includes the text of control tokens. */
  readonly showControl?: boolean;
  readonly sampling?: SamplingParams;
  readonly tokenRules?: TokenRules;
  /** Default: none. */
  readonly logprobs?: LogprobOptions;
  /** The pieces of the output and the end have the ids of their tokens. */
  readonly reportTokens?: boolean;
  /** There are `prompt-progress` events. */
  readonly reportProgress?: boolean;
  /** Requests share cached prefixes only within one scope. Default: the scope of all requests without one. */
  readonly cacheScope?: string;
}

/**
 * Why a sequence ended. `tool-calls` is a `stop` after complete calls. `cancelled` stays internal: the client
 * left or the server is stopping.
 */
export type FinishReason = 'stop' | 'length' | 'tool-calls' | 'cancelled';

/** Exact token counts of one sequence. */
export interface TokenUsage {
  readonly promptTokenCount: number;
  /** Prompt tokens that came from the prefix cache instead of being computed. */
  readonly cachedTokenCount: number;
  /** Sampled tokens, including the one that ended the sequence. */
  readonly completionTokenCount: number;
  /** The part of the completion that was reasoning, including its marks. */
  readonly reasoningTokenCount: number;
}

/** Where the time of one sequence went, in milliseconds. */
export interface SequenceTimings {
  /** From submission to the first step that worked on it. */
  readonly queueMs: number;
  /** From there to the first sampled token. */
  readonly prefillMs: number;
  /** From the first sampled token to the last. */
  readonly decodeMs: number;
}

/** Speculative decoding of one sequence. */
export interface DraftUsage {
  readonly draftedTokenCount: number;
  /** The drafted tokens that were accepted. */
  readonly acceptedTokenCount: number;
}

/** The tokens behind a piece of a reply. */
interface WithTokens {
  /** Only with `logprobs`: tokens whose text begins in the piece. In order they make up the text of the reply. */
  readonly tokens?: readonly TokenLogprob[];
  /** Only with `reportTokens`: ids of all tokens that were sampled since the piece before. */
  readonly ids?: readonly number[];
}

/** The next piece of a reply. Texts are whole UTF-8 characters and never empty. */
export type ReplyDelta = ReplyPart & WithTokens;

type ReplyPart =
  | { readonly type: 'text-delta'; readonly text: string }
  | { readonly type: 'reasoning-delta'; readonly text: string }
  | {
      /** Opens a call; its arguments follow in pieces. */
      readonly type: 'tool-call';
      /** Index of the call in the reply, from 0. */
      readonly index: number;
      readonly id: string;
      readonly name: string;
    }
  | {
      readonly type: 'tool-call-delta';
      readonly index: number;
      /** The next characters of a JSON text. */
      readonly arguments: string;
    };

/** Events of a running sequence. `sequence-end` comes once, last. */
export type EngineEvent =
  | {
      /** How much of the prompt is in the cache; only with `reportProgress`. All precede the reply. */
      readonly type: 'prompt-progress';
      readonly promptTokenCount: number;
      /** The tokens that were found in the cache. */
      readonly cachedTokenCount: number;
      /** All tokens that are in the cache by now. */
      readonly processedTokenCount: number;
      /** Milliseconds since the first step that worked on the sequence. */
      readonly ms: number;
    }
  | {
      /** The next tokens of a prompt whose log probabilities were requested; all precede the reply. */
      readonly type: 'prompt-delta';
      readonly tokens: readonly TokenLogprob[];
    }
  | ReplyDelta
  | (WithTokens & {
      readonly type: 'sequence-end';
      readonly finishReason: FinishReason;
      /** The stop text that ended the completion. */
      readonly stopText?: string;
      /** The stop token of the request that ended the completion. */
      readonly stopToken?: number;
      readonly usage: TokenUsage;
      readonly timings: SequenceTimings;
      /** Sum of the log probabilities of all sampled tokens; only with `logprobs`. */
      readonly totalLogprob?: number;
      /** Only with speculative decoding. */
      readonly drafts?: DraftUsage;
    });

/** Generates text from chats and plain prompts. */
export interface Generator {
  /**
   * Applies the chat template and tokenizes, on a worker thread. A final assistant message is continued.
   * @throws {GatewayError} `bad_request` when the template refuses the messages
   */
  prepareChat(messages: readonly ChatMessage[], options?: ChatOptions): Promise<PreparedPrompt>;

  /**
   * Tokenizes on a worker thread. Tokens must be in the vocabulary; a gap requires `info.infill`.
   * @param format - what the completion must follow
   * @throws {GatewayError} `bad_request` for an empty prompt and for text that cannot be tokenized
   */
  prepare(prompt: PlainPrompt, format?: ReplyFormat): Promise<PreparedPrompt>;

  /** All sampling parameters of a request with the given ones. */
  describeSampling(sampling?: SamplingParams): SamplingDescription;

  /** The tokens of a prepared prompt. */
  promptTokens(prompt: PreparedPrompt): readonly number[];

  /**
   * Tokenizes texts on a worker thread, without a BOS token; texts of control tokens are plain text.
   * @throws {GatewayError} `bad_request` for text that cannot be tokenized
   */
  tokenizeWords(texts: readonly string[]): Promise<readonly (readonly number[])[]>;

  /** The text that {@link prepareChat} tokenizes. Throws like it. */
  renderChat(messages: readonly ChatMessage[], options?: ChatOptions): Promise<string>;

  /**
   * What stands otherwise in the prompt than in the messages, because the chat template has no place for it; the names
   * are those of docs/chat-templates.md.
   * @throws {GatewayError} `bad_request` when the template refuses the roles of the messages
   */
  chatChanges(messages: readonly ChatMessage[], options?: ChatOptions): Promise<readonly string[]>;

  /**
   * Streams one completion; the sequence is submitted when the first event is awaited. The last event is always
   * `sequence-end`, with `cancelled` once `signal` aborts; the slot is then free within one step. Leaving the loop
   * early cancels too.
   * @throws {GatewayError} `context_length_exceeded` from the call itself; while events are awaited `bad_request`
   *   for refused sampling parameters, `sequence_failed`, `engine_failed`, `shutting_down`
   */
  generate(
    request: EngineRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<EngineEvent, void, undefined>;
}
