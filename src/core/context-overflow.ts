import { type ContextOverflow, GatewayError } from './errors.ts';

/**
 * The refusal of a prompt or an input that is too long: one text everywhere, because agents recognise OpenAI's sentences
 * and shorten the conversation. It ends with the code, which LangChain looks for in the text of an error, and which the
 * newest OpenAI client for Python leaves out of that text.
 * @param param - the field, such as `messages` or `input[3]`
 */
export function contextLengthExceeded(param: string, overflow: ContextOverflow): GatewayError {
  const { tokenCount, contextLength } = overflow;
  const full = tokenCount === contextLength ? ', which leaves no room for a completion' : '';
  return new GatewayError('context_length_exceeded', {
    param,
    overflow,
    message:
      `This model's maximum context length is ${contextLength} tokens. However, your ${param} resulted in ` +
      `${tokenCount} tokens${full}. Please reduce the length of the ${param}. (context_length_exceeded)`,
  });
}
