import { Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import { documented } from '../../core/route-doc.ts';
import type { ChatMessage, ChatOptions } from '../../engine/chat.ts';
import { optional } from '../fields/optional.ts';

/** How the prompt of a chat ends, as vLLM and llama-server name it. */
export const chatEndingFields = {
  add_generation_prompt: optional(
    Type.Boolean({
      description:
        'False: the prompt ends with the last message. True: a last message of the assistant is not continued.',
    }),
  ),
  continue_final_message: Type.Optional(
    Type.Unsafe<boolean | string | null>({
      type: ['boolean', 'string', 'null'],
      description:
        "True: the reply continues the last message, the assistant's. False: it is a message of its own.",
      ...documented({ enum: [true, false, 'content', 'reasoning_content', null] }),
    }),
  ),
  echo: optional(
    Type.Boolean({
      description: "The content begins with the last message, if it is the assistant's.",
    }),
  ),
};

interface ChatEnding {
  readonly add_generation_prompt?: boolean | null;
  readonly continue_final_message?: boolean | string | null;
}

/**
 * Reads how the prompt ends. Without a word about it, a last message of the assistant is continued.
 * @throws {GatewayError} `invalid_value`
 */
export function readEnding(
  { add_generation_prompt: opens, continue_final_message: continues }: ChatEnding,
  messages: readonly ChatMessage[],
): Pick<ChatOptions, 'ending'> {
  if (continues != null && continues !== false) {
    if (opens === true) {
      throw invalid('may not be sent together with `add_generation_prompt: true`');
    }
    checkContinued(continues, messages.at(-1));
    return {};
  }
  if (opens === false) return { ending: 'closed' };
  return opens === true || continues === false ? { ending: 'turn' } : {};
}

/** @param part - the part of the message to continue; true for its last one */
function checkContinued(part: boolean | string, last: ChatMessage | undefined): void {
  if (last?.role !== 'assistant' || (last.tool_calls?.length ?? 0) > 0) {
    throw invalid('needs a last message of the assistant, without calls');
  }
  if (part === true) return;
  const lastPart = last.content === '' && last.reasoning_content ? 'reasoning_content' : 'content';
  if (part === lastPart) return;
  throw invalid(
    part === 'content' || part === 'reasoning_content'
      ? `may only be ${JSON.stringify(lastPart)}, the last part of the last message`
      : 'must be a boolean, "content" or "reasoning_content"',
  );
}

function invalid(problem: string): GatewayError {
  const param = 'continue_final_message';
  return new GatewayError('invalid_value', { param, message: `\`${param}\` ${problem}.` });
}
