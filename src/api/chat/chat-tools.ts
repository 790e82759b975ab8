import { setImmediate } from 'node:timers/promises';
import { GatewayError } from '../../core/errors.ts';
import type { ChatOptions, Tool } from '../../engine/chat.ts';
import { isObjectType, relaxedSchema } from '../../grammar/schema.ts';
import { enforcedPart, requireEnforceable } from '../fields/reply-format.ts';
import { checkDepth, missing, unsupported } from '../fields/request-errors.ts';
import type { RequestProblems } from '../fields/request-problems.ts';
import type { ChatCompletionRequest, RequestFunction, RequestTool } from './chat-shapes.ts';
import { type ChosenTool, type ParsedToolChoice, readToolChoice } from './tool-choice.ts';

export type ToolOptions = Pick<ChatOptions, 'tools' | 'toolChoice' | 'parallelToolCalls'>;

/** In characters of JSON: the work for them grows with their text, not with their number. */
const maxToolsLength = 1_048_576;

/** In milliseconds without other work. */
const maxTurnMs = 5;

/**
 * Reads the tools of a body that fits the schema, with other work between them: a schema takes milliseconds. OpenAI's
 * older `functions` are tools.
 * @param problems - receives `unsupported_parameter`, `invalid_value`, `missing_required_parameter`
 */
export async function readTools(
  body: ChatCompletionRequest,
  problems: RequestProblems,
): Promise<readonly Tool[]> {
  return readEach(
    problems.attempt([], () => toolReaders(body)),
    problems,
  );
}

/**
 * Calls the readers of a list of tools, with other work between them. What a reader throws becomes a problem, as in
 * {@link RequestProblems.attempt}, and its tool is left out.
 */
export async function readEach(
  readers: readonly (() => Tool)[],
  problems: RequestProblems,
): Promise<readonly Tool[]> {
  const tools: Tool[] = [];
  let began = performance.now();
  for (const read of readers) {
    tools.push(...problems.attempt([], () => [read()]));
    if (performance.now() - began < maxTurnMs) continue;
    await setImmediate();
    began = performance.now();
  }
  return tools;
}

/**
 * Reads which of the tools a reply may or must call; only these are offered. A named function is called once unless
 * `parallel_tool_calls` asks for more: clients that force a function to get an object take one call, and a weak model
 * would not end. Of `functions` a reply calls one at most.
 * @param tools - all tools of the body
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`, `missing_required_parameter`
 */
export function offeredTools(body: ChatCompletionRequest, tools: readonly Tool[]): ToolOptions {
  const isOlderForm = hasItems(body.functions);
  const { choice, param } = givenChoice(body, isOlderForm);
  const parallel = isOlderForm ? false : (body.parallel_tool_calls ?? choice.parallel);
  return offerTools(tools, { ...choice, parallel }, param, isOlderForm ? 'functions' : 'tools');
}

/**
 * The tools that a choice leaves, and what it asks for.
 * @param param - the field of the choice
 * @param listName - the field of the tools
 * @throws {GatewayError} `invalid_value` for a call without tools, and for a name that no tool has
 */
export function offerTools(
  tools: readonly Tool[],
  choice: Omit<ParsedToolChoice, 'parallel'> & { readonly parallel?: boolean | undefined },
  param: string,
  listName: string,
): ToolOptions {
  if (tools.length === 0) {
    if (choice.mode !== 'required') return {};
    throw new GatewayError('invalid_value', {
      param,
      message: `\`${param}\` asks for a call, but there are no \`${listName}\`.`,
    });
  }
  return {
    tools: choice.allowed === undefined ? tools : allowedTools(tools, choice.allowed, param),
    toolChoice: choice.mode,
    ...(choice.parallel !== undefined && { parallelToolCalls: choice.parallel }),
  };
}

function hasItems(list: readonly unknown[] | null | undefined): boolean {
  return list != null && list.length > 0;
}

/** @throws {GatewayError} `invalid_value` for both forms of tools, and for too many characters */
function toolReaders({ tools, functions }: ChatCompletionRequest): (() => Tool)[] {
  if (hasItems(tools) && hasItems(functions)) {
    throw new GatewayError('invalid_value', {
      param: 'functions',
      message:
        '`functions` and `tools` cannot be sent together: `functions` is the older form of `tools`.',
    });
  }
  checkLength('tools', tools ?? []);
  checkLength('functions', functions ?? []);
  return [
    ...(tools ?? []).map((tool, index) => () => toTool(tool, `tools[${index}]`)),
    ...(functions ?? []).map((each, index) => () => toFunction(each, `functions[${index}]`)),
  ];
}

function givenChoice(
  { tool_choice: choice, function_call: older }: ChatCompletionRequest,
  isOlderForm: boolean,
): { readonly choice: ParsedToolChoice; readonly param: string } {
  const param = choice == null && (isOlderForm || older != null) ? 'function_call' : 'tool_choice';
  const given = choice ?? older;
  return { choice: given == null ? { mode: 'auto' } : readToolChoice(given, param), param };
}

/** @throws {GatewayError} `invalid_value` for a name that no tool has */
function allowedTools(
  tools: readonly Tool[],
  allowed: readonly ChosenTool[],
  param: string,
): readonly Tool[] {
  const names = new Set(tools.map(({ name }) => name));
  const unknown = allowed.find((chosen) => !names.has(chosen.name));
  if (unknown === undefined) {
    const allowedNames = new Set(allowed.map(({ name }) => name));
    return tools.filter(({ name }) => allowedNames.has(name));
  }
  const { name, path } = unknown;
  const words = path === param ? '`none`, `auto`, `required` or ' : '';
  throw new GatewayError('invalid_value', {
    param: path,
    message: `\`${path}\` must be ${words}the name of one of the tools, received ${JSON.stringify(name.slice(0, 128))}.`,
  });
}

/** @throws {GatewayError} `invalid_value` for too many characters */
export function checkLength(param: string, tools: readonly object[]): void {
  const length = tools.reduce((sum, tool) => sum + JSON.stringify(tool).length, 0);
  if (length <= maxToolsLength) return;
  throw new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` must have at most ${maxToolsLength} characters of JSON, received ${length}.`,
  });
}

function toTool({ type, function: definition }: RequestTool, path: string): Tool {
  if (type !== 'function') {
    throw unsupported(`${path}.type`, `only \`function\` is, received ${JSON.stringify(type)}`);
  }
  if (definition === undefined) throw missing(`${path}.function`);
  return toFunction(definition, `${path}.function`);
}

/**
 * A function as the model is offered it.
 * @param path - of the definition in the body
 * @param schemaField - the field of the definition that has the schema of the arguments
 * @throws {GatewayError} `invalid_value`; `unsupported_parameter` for a strict schema that cannot be enforced
 */
export function toFunction(
  { name, description, parameters, strict }: RequestFunction,
  path: string,
  schemaField = 'parameters',
): Tool {
  const param = `${path}.${schemaField}`;
  checkDepth(parameters, param);
  checkType(parameters, param);
  return {
    name,
    ...(description != null && { description }),
    ...(strict === true && { strict }),
    ...(parameters != null && { parameters, ...readEnforced(parameters, strict === true, param) }),
  };
}

/** Arguments are an object, also where the schema has no type. */
function checkType(parameters: object | null | undefined, param: string): void {
  const { type } = (parameters ?? {}) as { readonly type?: unknown };
  if (isObjectType(type)) return;
  throw new GatewayError('invalid_value', {
    param: `${param}.type`,
    message: `\`${param}.type\` must be \`object\`, received ${JSON.stringify(type).slice(0, 100)}.`,
  });
}

/** A tool that is not strict is always offered; keywords that cannot be enforced are only shown to the model. */
function readEnforced(parameters: object, strict: boolean, param: string): Pick<Tool, 'enforced'> {
  if (strict) return requireEnforceable(parameters, param);
  return enforcedPart(relaxedSchema(parameters).schema, parameters);
}
