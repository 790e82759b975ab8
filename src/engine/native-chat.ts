/** Chats as JSON: messages and tools in the form of OpenAI's API, which llama.cpp parses; chat.h has the other names. */
import type { ChatMessage, ChatOptions, Tool } from './chat.ts';

/** The request of the addon's `prepareChat`. */
export function nativeChat(
  messages: readonly ChatMessage[],
  options: Omit<ChatOptions, 'thinking'> & { readonly thinking: boolean | undefined },
): string {
  const { tools, ...rest } = options;
  return JSON.stringify({
    ...rest,
    messages,
    tools: tools?.map(({ enforced: _, ...shown }) => nativeTool(shown)),
    ...(tools?.some(({ enforced }) => enforced !== undefined) && {
      enforcedTools: tools.map(({ enforced, ...shown }) =>
        nativeTool(enforced === undefined ? shown : { ...shown, parameters: enforced }),
      ),
    }),
  });
}

function nativeTool(tool: Tool) {
  return { type: 'function', function: tool };
}
