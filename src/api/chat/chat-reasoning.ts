/** How a request controls reasoning: the switches, efforts and budgets that clients have for it. */
import { type Static, Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import { documented } from '../../core/route-doc.ts';
import type { ChatOptions } from '../../engine/chat.ts';
import { optional } from '../fields/optional.ts';
import { checkDepth, unsupported } from '../fields/request-errors.ts';
import type { RequestProblems } from '../fields/request-problems.ts';

// −1 is no limit.
const Budget = Type.Integer({ minimum: -1, maximum: 2 ** 31 - 1 });
const Effort = Type.String({ maxLength: 64 });

/** OpenRouter's object. */
interface ReasoningObject {
  readonly enabled?: boolean | null;
  readonly effort?: string | null;
  readonly max_tokens?: number | null;
  readonly exclude?: boolean | null;
}

/** Anthropic's object, which DeepSeek, GLM and Kimi have as well. */
interface ThinkingObject {
  readonly type?: string | null;
  readonly budget_tokens?: number | null;
}

/** Names of the budget, in the order in which they count. */
const budgetFields = {
  thinking_budget_tokens: optional(Budget),
  /** llama-server. */
  reasoning_budget_tokens: optional(Budget),
  reasoning_budget: optional(Budget),
  /** Qwen's and others' services. */
  thinking_budget: optional(Budget),
  /** vLLM. */
  thinking_token_budget: optional(Budget),
};

export const reasoningFields = {
  reasoning_effort: optional(
    Type.String({
      maxLength: 64,
      description:
        '`none` turns reasoning off, every other word on; it is passed to templates that have a variable for it.',
    }),
  ),
  ...budgetFields,
  enable_thinking: optional(Type.Boolean()),
  /** Ollama: a switch, or an effort. */
  think: Type.Optional(
    Type.Unsafe<boolean | string | null>({ type: ['boolean', 'string', 'null'], maxLength: 64 }),
  ),
  thinking: Type.Optional(
    Type.Unsafe<boolean | ThinkingObject | null>({
      type: ['boolean', 'object', 'null'],
      properties: {
        type: optional(
          Type.String(documented({ enum: ['enabled', 'disabled', 'adaptive', 'auto', null] })),
        ),
        budget_tokens: optional(Budget),
      },
    }),
  ),
  reasoning: Type.Optional(
    Type.Unsafe<ReasoningObject | null>({
      type: ['object', 'null'],
      properties: {
        enabled: optional(Type.Boolean()),
        effort: optional(Effort),
        max_tokens: optional(Budget),
        exclude: optional(Type.Boolean()),
      },
    }),
  ),
  /** OpenRouter and vLLM: false leaves the reasoning out of the reply. */
  include_reasoning: optional(Type.Boolean()),
  /** SGLang: false leaves the reasoning within the content. */
  separate_reasoning: optional(Type.Boolean()),
  /** llama-server's and Groq's words. */
  reasoning_format: optional(
    Type.String({
      maxLength: 64,
      ...documented({ enum: ['auto', 'deepseek', 'parsed', 'none', 'raw', 'hidden', null] }),
    }),
  ),
  chat_template_kwargs: optional(Type.Object({})),
};

const ReasoningRequest = Type.Object(reasoningFields);
type ReasoningRequest = Static<typeof ReasoningRequest>;

/** Where a reply has the reasoning: in fields of its own, within the content, or nowhere. */
export type ReasoningPlace = 'separate' | 'content' | 'hidden';

/** What a request says about reasoning. */
export interface ParsedReasoning {
  readonly options: Pick<ChatOptions, 'thinking' | 'thinkingBudget' | 'templateArguments'>;
  readonly place: ReasoningPlace;
  /** The request has fields of clients that read `reasoning` instead of `reasoning_content`. */
  readonly wantsReasoningField: boolean;
}

/** Template variables that are the request itself. */
const reservedVariables = ['messages', 'tools', 'bos_token', 'eos_token', 'add_generation_prompt'];

/** Variables by which templates turn reasoning on and off, most common first. */
const switchVariables = ['enable_thinking', 'thinking'] as const;

/** Efforts that turn reasoning off. */
const offWords: ReadonlySet<string> = new Set(['none', 'off', 'disabled']);

const placeOfFormat = {
  auto: 'separate',
  deepseek: 'separate',
  parsed: 'separate',
  none: 'content',
  raw: 'content',
  hidden: 'hidden',
} as const satisfies Record<string, ReasoningPlace>;

/** @param problems - receives `invalid_value`, `unsupported_parameter` */
export function readReasoning(body: ReasoningRequest, problems: RequestProblems): ParsedReasoning {
  const variables = problems.attempt({}, () => readVariables(body));
  const place = problems.attempt('separate', () => readPlace(body));
  const thinking = problems.attempt(undefined, () => readSwitch(body, variables));
  const effort = effortOf(body);
  const budget = budgetOf(body);
  const templateArguments = {
    ...(effort !== undefined && !offWords.has(effort) && { reasoning_effort: effort }),
    ...variables,
  };
  // The engine has the switch in the form that each template knows.
  delete templateArguments.enable_thinking;
  return {
    options: {
      ...(thinking !== undefined && { thinking }),
      ...(budget !== undefined && { thinkingBudget: budget }),
      ...(Object.keys(templateArguments).length > 0 && { templateArguments }),
    },
    place,
    wantsReasoningField: body.reasoning != null || body.include_reasoning != null,
  };
}

type Variables = { enable_thinking?: unknown; thinking?: unknown; reasoning_effort?: unknown };

function readVariables(body: ReasoningRequest): Variables {
  const variables = body.chat_template_kwargs ?? {};
  const reserved = reservedVariables.find((name) => Object.hasOwn(variables, name));
  if (reserved !== undefined) {
    throw unsupported(`chat_template_kwargs.${reserved}`, 'the server sets this variable itself');
  }
  checkDepth(variables, 'chat_template_kwargs');
  return { ...variables };
}

/** The first switch of a body, from the most specific to the effort; undefined leaves the choice to the server. */
function readSwitch(body: ReasoningRequest, variables: Variables): boolean | undefined {
  const { enable_thinking: enabled } = variables;
  if (enabled != null && typeof enabled !== 'boolean') {
    throw new GatewayError('invalid_value', {
      param: 'chat_template_kwargs.enable_thinking',
      message: `\`chat_template_kwargs.enable_thinking\` must be a boolean, received ${JSON.stringify(enabled)}.`,
    });
  }
  const ofTemplate = switchVariables
    .map((name) => variables[name])
    .find((value) => typeof value === 'boolean');
  return (
    ofTemplate ??
    body.enable_thinking ??
    switchOfWord(body.think) ??
    switchOfThinking(body.thinking) ??
    body.reasoning?.enabled ??
    switchOfWord(effortOf(body)) ??
    (body.reasoning?.max_tokens != null ? body.reasoning.max_tokens !== 0 : undefined)
  );
}

function switchOfWord(word: string | boolean | null | undefined): boolean | undefined {
  if (typeof word === 'boolean') return word;
  return word == null || word === '' ? undefined : !offWords.has(word);
}

function switchOfThinking(thinking: ReasoningRequest['thinking']): boolean | undefined {
  if (thinking == null || typeof thinking === 'boolean') return thinking ?? undefined;
  const { type } = thinking;
  if (type == null) return thinking.budget_tokens == null ? undefined : true;
  if (type === 'enabled') return true;
  if (offWords.has(type)) return false;
  if (type === 'adaptive' || type === 'auto') return undefined;
  throw new GatewayError('invalid_value', {
    param: 'thinking.type',
    message: `\`thinking.type\` must be \`enabled\`, \`disabled\`, \`adaptive\` or \`auto\`, received ${JSON.stringify(type.slice(0, 40))}.`,
  });
}

function effortOf({ reasoning_effort: effort, reasoning, think }: ReasoningRequest) {
  const efforts = [effort, reasoning?.effort, typeof think === 'string' ? think : undefined];
  return efforts.find((each) => each != null && each !== '') ?? undefined;
}

function budgetOf(body: ReasoningRequest): number | undefined {
  const names = Object.keys(budgetFields) as (keyof typeof budgetFields)[];
  const { thinking, reasoning } = body;
  const ofThinking = typeof thinking === 'object' ? thinking?.budget_tokens : undefined;
  const budgets = [...names.map((name) => body[name]), ofThinking, reasoning?.max_tokens];
  const budget = budgets.find((each) => each != null);
  return budget == null || budget < 0 ? undefined : budget;
}

function readPlace(body: ReasoningRequest): ReasoningPlace {
  const format = body.reasoning_format ?? '';
  if (format !== '' && !Object.hasOwn(placeOfFormat, format)) {
    const formats = Object.keys(placeOfFormat).map((each) => `\`${each}\``);
    throw unsupported(
      'reasoning_format',
      `only ${formats.join(', ')} are, received ${JSON.stringify(format.slice(0, 40))}`,
    );
  }
  if (body.include_reasoning === false || body.reasoning?.exclude === true) return 'hidden';
  if (format !== '') return placeOfFormat[format as keyof typeof placeOfFormat];
  return body.separate_reasoning === false ? 'content' : 'separate';
}
