/** Chats: the messages, the tools and the constraints that a chat template renders. */

/** A call of a tool in an earlier message, in the form of OpenAI's API. */
export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  /** The arguments are a JSON object as text. */
  readonly function: { readonly name: string; readonly arguments: string };
}

/** One message of a chat, validated and in the form of OpenAI's API, its content reduced to text. */
export interface ChatMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  /** Reasoning of the assistant before its content. */
  readonly reasoning_content?: string;
  /** Calls of the assistant after its content. */
  readonly tool_calls?: readonly ToolCall[];
  /** Only in tool messages: the call that the message answers. */
  readonly tool_call_id?: string;
  /** The tool of a tool message, else the name of the speaker. Few templates show it. */
  readonly name?: string;
}

/** A function the model may call. */
export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** JSON schema of the arguments, as the prompt shows it. Without it the function takes no arguments. */
  readonly parameters?: object;
  /** Schema that constrains the calls, where it differs from `parameters`. */
  readonly enforced?: object;
  /** True where a chat format that cannot follow the schema is refused; else such a call is only shown its schema. */
  readonly strict?: boolean;
}

/** The format that a reply follows, validated; at most one of the three. */
export interface ReplyFormat {
  /** Of the content, behind the reasoning. */
  readonly jsonSchema?: object;
  /** GBNF of the whole reply. */
  readonly grammar?: string;
  /** GBNF of the content, behind the reasoning. */
  readonly contentGrammar?: string;
}

/** What the reply to a chat may and must contain. */
export interface ChatOptions extends ReplyFormat {
  readonly tools?: readonly Tool[];
  /** `auto` (the default): the model decides; `none`: no calls; `required`: at least one call. */
  readonly toolChoice?: 'auto' | 'none' | 'required';
  /** Allows more than one call in a reply. Default: where the template has a form for it. */
  readonly parallelToolCalls?: boolean;
  /** Reason before the answer. Default: the engine's. */
  readonly thinking?: boolean;
  /** Maximum tokens of reasoning; the reasoning is then forced to end. */
  readonly thinkingBudget?: number;
  /** Further variables of the chat template. */
  readonly templateArguments?: Readonly<Record<string, unknown>>;
  /**
   * How the prompt ends: with the beginning of a new message of the assistant, or with the last message. Default: a last
   * message of the assistant is continued, and after any other one a new message begins.
   */
  readonly ending?: 'turn' | 'closed';
}

/** What the model's chat template supports. */
export interface ChatCapabilities {
  readonly tools: boolean;
  readonly thinking: boolean;
  /** True if the model reasons unless a request disables it. */
  readonly thinksByDefault: boolean;
}
