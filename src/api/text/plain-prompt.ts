import { GatewayError } from '../../core/errors.ts';
import type { Generator, PreparedPrompt } from '../../engine/generator.ts';
import type { Tokenizer } from '../../engine/tokenizer.ts';
import type { PromptContent } from './completion-request.ts';
import type { RequestPromptParts } from './completion-shapes.ts';

/**
 * Prepares a prompt of texts and tokens.
 * @param suffix - what comes after the gap behind a text
 * @throws {GatewayError} `bad_request` with the prompt's path when nothing is left of it, or it cannot be
 *   tokenized
 */
export async function preparePlain(
  { generator, tokenizer }: { readonly generator: Generator; readonly tokenizer: Tokenizer },
  { path, content }: PromptContent,
  suffix: string | undefined,
): Promise<PreparedPrompt> {
  try {
    if (typeof content !== 'string') {
      return await generator.prepare({ tokens: await toTokens(tokenizer, content) });
    }
    if (suffix === undefined) return await generator.prepare({ text: content });
    return await generator.prepare({ prefix: content, suffix });
  } catch (error) {
    // The engine knows nothing of the prompts beside this one.
    if (!(error instanceof GatewayError) || error.code !== 'bad_request') throw error;
    throw new GatewayError('bad_request', {
      param: path,
      message: error.message.replace(/^`\w+`/, `\`${path}\``),
      cause: error.cause,
    });
  }
}

/** What a reader sees of a prompt: texts as they were sent, tokens as the text they stand for. */
export async function promptText(
  tokenizer: Tokenizer,
  { content }: PromptContent,
): Promise<string> {
  if (typeof content === 'string') return content;
  const parts = await Promise.all(
    runsOf(content).map((run) =>
      typeof run === 'string' ? Buffer.from(run) : tokenizer.detokenize(run),
    ),
  );
  return Buffer.concat(parts).toString();
}

/** BOS comes in front only where a text does: tokens are taken as they are. */
async function toTokens(
  tokenizer: Tokenizer,
  content: RequestPromptParts,
): Promise<readonly number[]> {
  const runs = await Promise.all(
    runsOf(content).map((run, index) =>
      typeof run === 'string'
        ? tokenizer.tokenize(run, { addSpecial: index === 0, parseSpecial: true })
        : run,
    ),
  );
  return runs.flat();
}

/** Tokens that stand together, and the texts between them. */
function runsOf(content: RequestPromptParts): (string | readonly number[])[] {
  const runs: (string | number[])[] = [];
  for (const part of content) {
    const last = runs.at(-1);
    if (typeof part === 'string') runs.push(part);
    else if (Array.isArray(last)) last.push(part);
    else runs.push([part]);
  }
  return runs;
}
