import { GatewayError } from '../../core/errors.ts';
import type { ChatMessage, ChatOptions, ReplyFormat } from '../../engine/chat.ts';
import type { GeneratingEngine } from '../../engine/engine.ts';
import type { InfillPrompt, PreparedPrompt } from '../../engine/generator.ts';
import type { Tokenizer } from '../../engine/tokenizer.ts';

/** Texts and token ids in their order, as one prompt. */
export type PromptParts = readonly (string | number)[];

/** A prompt of a request, before the model's template and vocabulary are applied to it. */
export type PromptSource = ChatSource | PlainSource | InfillSource;

/** A chat, rendered by the model's template. */
export interface ChatSource {
  readonly type: 'chat';
  readonly messages: readonly ChatMessage[];
  readonly options: ChatOptions;
  /** The field of the body that the messages were made from. Default: `messages`. */
  readonly field?: 'input';
  /** The field of the reply's format. Default: `response_format`. */
  readonly formatField?: string;
  /** Leave out the oldest turns where the chat does not fit the context. */
  readonly truncates?: boolean;
}

/** A prompt without a template. */
export interface PlainSource {
  readonly type: 'plain';
  /** Path in the request's body, such as `prompt[2]`. */
  readonly path: string;
  readonly content: string | PromptParts;
  /** Text after the gap to fill; undefined without a gap. */
  readonly suffix: string | undefined;
  /** False for no BOS token before a text. */
  readonly addsSpecial?: boolean;
  /** What the completion must follow. */
  readonly format?: ReplyFormat;
}

/** A text with a gap, and what stands around it. */
export interface InfillSource {
  readonly type: 'infill';
  readonly text: InfillPrompt;
  /** What the completion must follow. */
  readonly format?: ReplyFormat;
}

/**
 * Renders and tokenizes a prompt.
 * @throws {GatewayError} `bad_request` with the prompt's path when the prompt is empty, cannot be tokenized, or is
 *   refused by the template
 */
export async function preparePrompt(
  engine: GeneratingEngine,
  source: PromptSource,
): Promise<PreparedPrompt> {
  const { generator, tokenizer } = engine;
  if (source.type === 'chat') return prepareChat(engine, source);
  if (source.type === 'infill') return generator.prepare(source.text, source.format);
  const { path, content, suffix, addsSpecial = true, format } = source;
  try {
    if (typeof content !== 'string' || (suffix === undefined && !addsSpecial)) {
      const parts = typeof content === 'string' ? [content] : content;
      const tokens = await tokensOf(tokenizer, parts, addsSpecial);
      return await generator.prepare({ tokens }, format);
    }
    if (suffix === undefined) return await generator.prepare({ text: content }, format);
    return await generator.prepare({ prefix: content, suffix }, format);
  } catch (error) {
    // The engine does not know the other prompts of the request, so its error names only the field.
    if (!(error instanceof GatewayError) || error.code !== 'bad_request') throw error;
    throw new GatewayError('bad_request', {
      param: path,
      message: error.message.replace(/^`\w+`/, `\`${path}\``),
      cause: error.cause,
    });
  }
}

async function prepareChat(engine: GeneratingEngine, source: ChatSource): Promise<PreparedPrompt> {
  const { messages, options, field, truncates = false } = source;
  const { contextLength } = engine.info;
  const prepare = async (chat: readonly ChatMessage[]): Promise<PreparedPrompt> => {
    const prompt = await namingFields(source, () => engine.generator.prepareChat(chat, options));
    return field === undefined ? prompt : { ...prompt, field };
  };
  if (!truncates) return prepare(messages);
  const { head, begins } = cutsOf(messages, contextLength);
  const prepareFrom = (begin = 0) =>
    prepare(begin === 0 ? messages : [...head, ...messages.slice(begin)]);
  const fits = ({ tokenCount }: PreparedPrompt) => tokenCount < contextLength;
  let best = await prepareFrom(begins[0]);
  if (fits(best)) return best;
  // A later cut leaves fewer tokens, so the earliest cut that fits is found by halving.
  let [low, high] = [1, begins.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const prompt = await prepareFrom(begins[middle]);
    if (fits(prompt)) {
      best = prompt;
      high = middle;
    } else low = middle + 1;
  }
  return best;
}

/**
 * Where a chat can begin without its oldest turns; the system's messages at the beginning stay as `head`. A message costs
 * a token at least, so what has more messages than the context has tokens is no beginning. There is always one.
 */
function cutsOf(
  messages: readonly ChatMessage[],
  contextLength: number,
): { readonly head: readonly ChatMessage[]; readonly begins: readonly number[] } {
  const firstTurn = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  const head = messages.slice(0, Math.max(0, firstTurn));
  const turns = [...messages.keys()].filter(
    (index) => index > firstTurn && messages[index]?.role === 'user',
  );
  const all = [0, ...turns];
  const isShort = (begin: number) => head.length + messages.length - begin < contextLength;
  const short = all.filter(isShort);
  return { head, begins: short.length > 0 ? short : all.slice(-1) };
}

/** The engine names the fields of a chat completion; other bodies have other names for them. */
async function namingFields<Result>(
  { field, formatField }: ChatSource,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof GatewayError) || error.overflow !== undefined) throw error;
    const own = { messages: field, response_format: formatField }[error.param ?? ''];
    if (own === undefined) throw error;
    throw new GatewayError(error.code, {
      param: own,
      message: error.message.replaceAll(`\`${error.param}\``, `\`${own}\``),
      cause: error.cause,
    });
  }
}

/** A prompt as readable text: texts as they were sent, tokens as the text they stand for. */
export async function promptText(tokenizer: Tokenizer, { content }: PlainSource): Promise<string> {
  if (typeof content === 'string') return content;
  const parts = await Promise.all(
    runsOf(content).map((run) =>
      typeof run === 'string' ? Buffer.from(run) : tokenizer.detokenize(run),
    ),
  );
  return Buffer.concat(parts).toString();
}

/** Only a text at the beginning gets a BOS token in front; tokens are taken as they are. */
export async function tokensOf(
  tokenizer: Tokenizer,
  content: PromptParts,
  addsSpecial = true,
): Promise<readonly number[]> {
  const runs = await Promise.all(
    runsOf(content).map((run, index) =>
      typeof run === 'string'
        ? tokenizer.tokenize(run, { addSpecial: addsSpecial && index === 0, parseSpecial: true })
        : run,
    ),
  );
  return runs.flat();
}

/** Consecutive tokens joined, and the texts between them. */
function runsOf(content: PromptParts): (string | readonly number[])[] {
  const runs: (string | number[])[] = [];
  for (const part of content) {
    const last = runs.at(-1);
    if (typeof part === 'string') runs.push(part);
    else if (Array.isArray(last)) last.push(part);
    else runs.push([part]);
  }
  return runs;
}
