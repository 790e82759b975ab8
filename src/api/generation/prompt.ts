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
  const prepare = async (chat: readonly ChatMessage[]): Promise<PreparedPrompt> => {
    const prompt = await engine.generator.prepareChat(chat, options);
    return field === undefined ? prompt : { ...prompt, field };
  };
  const fits = ({ tokenCount }: PreparedPrompt) => tokenCount < engine.info.contextLength;
  let best = await prepare(messages);
  if (!truncates || fits(best)) return best;
  // A later cut leaves fewer tokens, so the earliest cut that fits is found by halving.
  const cuts = cutsOf(messages);
  let [low, high] = [0, cuts.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const prompt = await prepare(cuts[middle] ?? messages);
    if (fits(prompt)) {
      best = prompt;
      high = middle;
    } else low = middle + 1;
  }
  return best;
}

/** The chat without its oldest turns, one turn fewer each time; the system's messages at the beginning stay. */
function cutsOf(messages: readonly ChatMessage[]): (readonly ChatMessage[])[] {
  const begin = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  const head = messages.slice(0, Math.max(0, begin));
  const turns = [...messages.entries()].filter(
    ([index, { role }]) => index > begin && role === 'user',
  );
  return turns.map(([index]) => [...head, ...messages.slice(index)]);
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
