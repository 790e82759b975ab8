/**
 * What the gateway asks of an engine, and nothing of how it is done. `native-engine.ts` runs it on the
 * addon; tests put a fake behind the same interface.
 */

/** A call of a tool, as the model wrote it. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text; what the model wrote is not checked against the tool's parameters. */
  readonly arguments: string;
}

/** One message of a chat, its content already reduced to text. */
export interface ChatMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  /** What the assistant thought before its content. */
  readonly reasoning?: string;
  /** What the assistant called after its content. */
  readonly toolCalls?: readonly ToolCall[];
  /** Of a tool message: the call it answers. */
  readonly toolCallId?: string;
  /** Of a tool message the tool, of others who speaks; few templates show it. */
  readonly name?: string;
}

/** A function the model may call. */
export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** JSON schema of the arguments, as the model is shown it; without it the function takes none. */
  readonly parameters?: object;
  /** What calls are made to follow, where that is not `parameters`. */
  readonly enforced?: object;
}

/** What the reply to a chat may and must contain. */
export interface ChatOptions {
  readonly tools?: readonly Tool[];
  /** Whether to call tools: as the model likes (the default), never, or at least one. */
  readonly toolChoice?: 'auto' | 'none' | 'required';
  /** More than one call in a reply; left out: where the template has a form for it. */
  readonly parallelToolCalls?: boolean;
  /** Reason before the answer; left out: the engine's default. */
  readonly thinking?: boolean;
  /** Tokens of reasoning at most; it is then made to end. */
  readonly thinkingBudget?: number;
  /** JSON schema that the whole reply conforms to; checked where the request entered. */
  readonly jsonSchema?: object;
  /** GBNF grammar that the whole reply follows; checked where the request entered. */
  readonly grammar?: string;
  /** Further variables of the chat template. */
  readonly templateArguments?: Readonly<Record<string, unknown>>;
}

/** A prompt without a template: text, text with a gap to fill, or tokens. */
export type PlainPrompt =
  | { readonly text: string }
  | { readonly prefix: string; readonly suffix: string }
  | { readonly tokens: readonly number[] };

/** What the model's chat template has a form for. */
export interface ChatAbilities {
  readonly tools: boolean;
  readonly thinking: boolean;
  /** Whether it reasons unless told otherwise. */
  readonly thinksByDefault: boolean;
}

/** A prompt that was rendered and tokenized off the event loop. Opaque: the tokens stay native. */
export interface PreparedPrompt {
  /** The field of a request it was made from; errors about its length name it. */
  readonly field: 'messages' | 'prompt';
  readonly tokenCount: number;
  /** Whether replies can have parts beside content: reasoning, tool calls. */
  readonly structured: boolean;
  /** Held by the engine that prepared it; meaningless to any other. */
  readonly handle: unknown;
}

/**
 * How the next token is chosen. A field that is left out takes the engine's default (llama.cpp's own
 * unless the operator set another). Ranges are checked where a request enters, not here.
 */
export interface SamplingParams {
  /** 0 is greedy. */
  readonly temperature?: number;
  readonly topP?: number;
  /** 0 keeps the whole vocabulary. */
  readonly topK?: number;
  readonly minP?: number;
  readonly typicalP?: number;
  /** In standard deviations of the logits; negative is off. */
  readonly topNSigma?: number;
  readonly xtcProbability?: number;
  readonly xtcThreshold?: number;
  readonly dynatempRange?: number;
  readonly dynatempExponent?: number;
  /** Tokens the penalties look back over; 0 is off. */
  readonly repeatLastN?: number;
  readonly repeatPenalty?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly dryMultiplier?: number;
  readonly dryBase?: number;
  readonly dryAllowedLength?: number;
  readonly dryPenaltyLastN?: number;
  readonly drySequenceBreakers?: readonly string[];
  readonly adaptiveTarget?: number;
  readonly adaptiveDecay?: number;
  /** 0 off, 1 or 2 the version. */
  readonly mirostat?: 0 | 1 | 2;
  readonly mirostatTau?: number;
  readonly mirostatEta?: number;
  /** Any 64-bit integer; folded to the 32 bits llama.cpp's generators take. */
  readonly seed?: bigint;
  /** The model may not end the completion itself. */
  readonly ignoreEos?: boolean;
  /** Added to the logits: `[token id, bias]`. */
  readonly logitBias?: readonly (readonly [number, number])[];
  /** Names of llama.cpp's samplers in the order they apply. */
  readonly samplers?: readonly string[];
  /** A GBNF grammar, already checked. */
  readonly grammar?: string;
}

/** What is told of the model's opinion of each token. */
export interface LogprobOptions {
  /** Likeliest tokens at each place, 0 or more. */
  readonly topCount: number;
  /** Of the prompt as well, which is then computed whole, whatever is in the cache. */
  readonly prompt: boolean;
}

/** The bytes of a token, and the logarithm of its probability: log-softmax over the raw logits. */
export interface ScoredPiece {
  /** Need not be whole characters. */
  readonly bytes: Buffer;
  /** At most 0; −Infinity where the model rules the token out. */
  readonly logprob: number;
}

/** A token of a text, with what the model thought of it before anything was sampled. */
export interface ScoredToken extends Omit<ScoredPiece, 'logprob'> {
  /** Undefined for the first token of a prompt, which nothing predicts. */
  readonly logprob: number | undefined;
  /** The likeliest tokens at its place, the likeliest first. */
  readonly top: readonly ScoredPiece[];
  /** Characters (code points) of the completion before it; 0 for tokens of the prompt. */
  readonly firstCharacter: number;
}

/** One completion to be generated from a prepared prompt. */
export interface GenerateRequest {
  readonly prompt: PreparedPrompt;
  /**
   * Completion tokens at most; left out: the engine's default, or the room left if that is less. 0 ends
   * when the prompt is computed.
   */
  readonly maxTokens?: number;
  /** Texts that end the completion; matched across token borders, never part of the output. */
  readonly stop?: readonly string[];
  readonly sampling?: SamplingParams;
  /** Left out: nothing is told. */
  readonly logprobs?: LogprobOptions;
  /**
   * Requests share computed prefixes only with those of an equal scope; left out: with all others
   * that name none.
   */
  readonly cacheScope?: string;
}

/**
 * Why a sequence ended. `tool-calls` is a `stop` after complete calls; `cancelled` stays internal: the
 * client is gone or the server is stopping.
 */
export type FinishReason = 'stop' | 'length' | 'tool-calls' | 'cancelled';

/** Exact token counts of one sequence. */
export interface TokenUsage {
  readonly promptTokenCount: number;
  /** Prompt tokens that were found in the cache instead of being computed. */
  readonly cachedTokenCount: number;
  /** Sampled tokens, the one that ended the sequence included. */
  readonly completionTokenCount: number;
  /** The part of them that was reasoning, marks included. */
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

/** What guessing the tokens of one sequence came to. */
export interface DraftUsage {
  readonly draftedTokenCount: number;
  /** The part of them that was right. */
  readonly acceptedTokenCount: number;
}

/** The tokens behind a piece of a reply; only with `logprobs`. */
interface WithTokens {
  /** Those whose text begins in the piece. All of a reply, in order, make up its text. */
  readonly tokens?: readonly ScoredToken[];
}

/** The next piece of a reply. Texts are whole UTF-8 characters and never empty. */
export type ReplyDelta = ReplyPart & WithTokens;

type ReplyPart =
  | { readonly type: 'text-delta'; readonly text: string }
  | { readonly type: 'reasoning-delta'; readonly text: string }
  | {
      /** Opens a call; its arguments follow in pieces. */
      readonly type: 'tool-call';
      /** Which call of the reply, from 0. */
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

/** What a sequence tells while it runs. `sequence-end` comes once, last. */
export type EngineEvent =
  | {
      /** The next tokens of a prompt that is scored; all come before the reply. */
      readonly type: 'prompt-delta';
      readonly tokens: readonly ScoredToken[];
    }
  | ReplyDelta
  | (WithTokens & {
      readonly type: 'sequence-end';
      readonly finishReason: FinishReason;
      readonly usage: TokenUsage;
      readonly timings: SequenceTimings;
      /** Sum of the logarithms over all sampled tokens; only with `logprobs`. */
      readonly totalLogprob?: number;
      /** Only where the engine guesses tokens. */
      readonly drafts?: DraftUsage;
    });

/**
 * How the vectors of all tokens become one: their mean, the first one, the last one, or, by a
 * classification head, the score of a query and a document. llama.cpp's names.
 */
export type Pooling = 'mean' | 'cls' | 'last' | 'rank';

/** What an engine makes of texts beside more text. */
export interface EmbeddingAbilities {
  /** With `rank` it scores documents, with all others it makes vectors. */
  readonly pooling: Pooling;
  /** Values of a vector. */
  readonly width: number;
  /** Tokens one input may have. */
  readonly contextLength: number;
}

/** Texts or tokens that were made ready to be embedded or ranked. Opaque: the tokens stay native. */
export interface PreparedInputs {
  /** Tokens of each input, those that the model wants around a text included. */
  readonly tokenCounts: Int32Array;
  /** Held by the engine that prepared it; meaningless to any other. */
  readonly handle: unknown;
}

/** What an input can be made of. */
export type EmbeddingInput = string | readonly number[];

/** Counters since the engine started, and gauges of this moment. */
export interface EngineStats {
  /** Times the engine computed something: a batch, a slice of the prompt lane, or both. */
  readonly stepCount: number;
  /** Calls of `llama_decode`. */
  readonly decodeCallCount: number;
  /** Tokens given to those calls. */
  readonly decodedTokenCount: number;
  /** The prompt tokens among them, each counted the first time it was computed. */
  readonly prefilledTokenCount: number;
  /** Prompt tokens that were found in the cache instead. */
  readonly cachedTokenCount: number;
  /** Tokens computed once more, for sequences that had lost their cache to a neighbour. */
  readonly recomputedTokenCount: number;
  /** Tokens computed in the prompt lane, those of prompts that were given up included. */
  readonly laneTokenCount: number;
  /** Tokens sampled. */
  readonly sampledTokenCount: number;
  /** Sequences that found a part of their prompt in the cache. */
  readonly prefixHitCount: number;
  /** Times a sequence had to give way to a neighbour and waited to be resumed. */
  readonly pausedSequenceCount: number;
  /** Times a sequence was moved in a split KV cache, to be computed in one pass with others. */
  readonly movedSequenceCount: number;
  /** Guesses of what comes next that were checked; 0 where the engine does not guess ... */
  readonly draftCount: number;
  /** ... their tokens ... */
  readonly draftedTokenCount: number;
  /** ... those that were right ... */
  readonly acceptedTokenCount: number;
  /** ... and these by their place in the guess. */
  readonly acceptedTokenCountByPlace: readonly number[];
  /** Time spent in steps, in milliseconds ... */
  readonly stepMs: number;
  /** ... and the part of it in `llama_decode` ... */
  readonly decodeMs: number;
  /** ... and in choosing tokens. */
  readonly samplingMs: number;
  /** Sequences that hold a slot now. */
  readonly runningCount: number;
  /** Sequences that wait for a slot now. */
  readonly waitingCount: number;
  /** Sequences that have not ended and whose readers keep up: a working engine does steps for them. */
  readonly awaitedCount: number;
  /** KV cells of running sequences now; what several share counts once. */
  readonly usedKvTokenCount: number;
  /** KV cells that only finished prefixes hold now: free for whoever needs them. */
  readonly keptKvTokenCount: number;
  /** Finished prefixes kept now. */
  readonly keptPrefixCount: number;
}

/** What an engine was started with, after everything was fitted to memory. */
export interface EngineInfo {
  /** Backend variant: `cpu`, `cuda`, `metal`, `vulkan`. */
  readonly backend: string;
  readonly slotCount: number;
  /** Tokens one request may use, prompt and completion together. */
  readonly contextLength: number;
  /** Completion tokens of requests that name no limit. */
  readonly defaultMaxTokens: number;
  /** KV cells all sequences share. */
  readonly kvTokenCount: number;
  /** Token ids are below it. */
  readonly vocabularySize: number;
  /** Whether the model can be asked for what stands between two texts. */
  readonly infill: boolean;
  readonly chat: ChatAbilities;
  /** Whether the model continues texts; one that does not only embeds or ranks. */
  readonly generates: boolean;
  readonly embedding: EmbeddingAbilities;
  /** What tokens are guessed with; left out: none are. */
  readonly speculative?: 'ngram' | 'draft';
  /** Why none are, although they were to be. */
  readonly notSpeculative?: string;
  /** Whether long prompts are computed in a context of their own, between the steps of others. */
  readonly promptLane?: boolean;
  /** Why they are not, although that would be of use. */
  readonly noPromptLane?: string;
}

/** One of many inputs cannot be computed; {@link index} says which. */
export class InputError extends Error {
  readonly index: number;

  constructor(index: number, reason: string) {
    super(reason);
    this.name = 'InputError';
    this.index = index;
  }
}

/** A running engine with one model. */
export interface Engine {
  readonly info: EngineInfo;

  /**
   * Applies the chat template and tokenizes, on a worker thread. A last message of the assistant is
   * continued.
   * @throws {GatewayError} `bad_request` when the template refuses the messages
   */
  prepareChat(messages: readonly ChatMessage[], options?: ChatOptions): Promise<PreparedPrompt>;

  /**
   * Tokenizes on a worker thread. Tokens must be of the vocabulary, a gap needs `info.infill`.
   * @throws {GatewayError} `bad_request` when nothing is left, or the text cannot be tokenized
   */
  prepare(prompt: PlainPrompt): Promise<PreparedPrompt>;

  /** The text that {@link prepareChat} tokenizes. Throws like it. */
  renderChat(messages: readonly ChatMessage[], options?: ChatOptions): Promise<string>;

  /**
   * @param options.addSpecial - put the model's BOS in front where it wants one
   * @param options.parseSpecial - recognise control tokens in the text
   */
  tokenize(
    text: string,
    options: { readonly addSpecial: boolean; readonly parseSpecial: boolean },
  ): Promise<readonly number[]>;

  /**
   * The bytes of tokens of the vocabulary, control tokens as their texts. A character may be spread
   * over several tokens, so a part of a text need not be valid UTF-8.
   */
  detokenize(tokens: readonly number[]): Promise<Buffer>;

  /**
   * Streams one completion. The last event is always `sequence-end`, with `cancelled` once `signal`
   * aborts; the slot is then free within one step. Leaving the loop early cancels too.
   * @throws {GatewayError} `context_length_exceeded` before any work, `bad_request` for refused
   *   sampling parameters, `sequence_failed`, `engine_failed`, `shutting_down`
   */
  generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<EngineEvent, void, undefined>;

  /**
   * Tokenizes inputs for {@link embed} on a worker thread.
   * @param maxTokens - longer inputs lose their end, but keep the token that closes them; left out:
   *   they stay as they are
   * @throws {InputError} for an input of which nothing is left, or that cannot be tokenized
   * @throws {GatewayError} `embeddings_unavailable`
   */
  prepareInputs(inputs: readonly EmbeddingInput[], maxTokens?: number): Promise<PreparedInputs>;

  /** Joins a query with each of the documents for {@link rank}. Throws like {@link prepareInputs}. */
  prepareRanking(query: string, documents: readonly string[]): Promise<PreparedInputs>;

  /**
   * Vectors of inputs, in their order, each of norm 1. None may be longer than
   * `info.embedding.contextLength`.
   * @param dimensions - values kept of each, 1 to `info.embedding.width`; left out: all
   * @throws the signal's reason once it aborts
   * @throws {GatewayError} `sequence_failed`, `engine_failed`, `shutting_down`
   */
  embed(
    inputs: PreparedInputs,
    dimensions?: number,
    signal?: AbortSignal,
  ): Promise<readonly Float32Array[]>;

  /** How well each document answers the query, 0 to 1. Throws like {@link embed}. */
  rank(inputs: PreparedInputs, signal?: AbortSignal): Promise<readonly number[]>;

  stats(): EngineStats;

  /** Ends every sequence as `cancelled`, joins the engine thread and frees the context. Idempotent. */
  close(): Promise<void>;
}
