import { setImmediate } from 'node:timers/promises';
import { GatewayError } from '../../core/errors.ts';
import type { ChatOptions, Tool } from '../../engine/chat.ts';
import { relaxedSchema } from '../../grammar/schema.ts';
import { enforcedPart, requireEnforceable } from '../fields/reply-format.ts';
import { checkDepth, missing, unsupported } from '../fields/request-errors.ts';
import type { RequestProblems } from '../fields/request-problems.ts';
import type { ChatCompletionRequest, RequestFunction, RequestTool } from './chat-shapes.ts';
import { type ChosenTool, type ParsedToolChoice, readToolChoice } from './tool-choice.ts';

type ToolOptions = Pick<ChatOptions, 'tools' | 'toolChoice' | 'parallelToolCalls'>;

/** In characters of JSON: the work for them grows with their text, not with their number. */
const maxToolsLength = 1_048_576;

/**
 * Reads the tools of a body that fits the schema, and the choice among them. Only the tools that may be called are
 * offered. A named function is called once unless `parallel_tool_calls` asks for more: clients that force a function to
 * get an object take one call, and a weak model would not end. OpenAI's older `functions` are tools, of which a reply
 * calls one at most.
 * @param problems - receives what is wrong with a tool
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`, `missing_required_parameter` for the choice
 */
export function readTools(body: ChatCompletionRequest, problems: RequestProblems): ToolOptions {
  const functions = body.functions ?? [];
  if (functions.length > 0 && body.tools != null && body.tools.length > 0) {
    throw new GatewayError('invalid_value', {
      param: 'functions',
      message:
        '`functions` and `tools` cannot be sent together: `functions` is the older form of `tools`.',
    });
  }
  checkLength('tools', body.tools ?? []);
  checkLength('functions', functions);
  const offered = toolsOf(body);
  const tools = offered.flatMap((read) => problems.attempt([], () => [read()]));
  // A choice of a tool that is refused itself is no second problem.
  if (tools.length < offered.length) return {};
  const isOlderForm = functions.length > 0;
  const { choice, param } = givenChoice(body, isOlderForm);
  if (tools.length === 0) {
    if (choice.mode !== 'required') return {};
    throw new GatewayError('invalid_value', {
      param,
      message: `\`${param}\` asks for a call, but there are no \`${isOlderForm ? 'functions' : 'tools'}\`.`,
    });
  }
  const parallel = isOlderForm ? false : (body.parallel_tool_calls ?? choice.parallel);
  return {
    tools: choice.allowed === undefined ? tools : allowedTools(tools, choice.allowed, param),
    toolChoice: choice.mode,
    ...(parallel != null && { parallelToolCalls: parallel }),
  };
}

/** In milliseconds without other work. */
const maxTurnMs = 5;

/**
 * Reads the schemas of tools that {@link readTools} reads next, with other work between them: from then on they are
 * known. What is wrong with one is for `readTools` to say.
 */
export async function readSchemasAhead(body: ChatCompletionRequest): Promise<void> {
  if (lengthOf([...(body.tools ?? []), ...(body.functions ?? [])]) > maxToolsLength) return;
  let began = performance.now();
  for (const read of toolsOf(body)) {
    try {
      read();
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
    }
    if (performance.now() - began < maxTurnMs) continue;
    await setImmediate();
    began = performance.now();
  }
}

function toolsOf({ tools, functions }: ChatCompletionRequest): (() => Tool)[] {
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
  const unknown = allowed.find((chosen) => !tools.some(({ name }) => name === chosen.name));
  if (unknown === undefined) {
    return tools.filter(({ name }) => allowed.some((chosen) => chosen.name === name));
  }
  const { name, path } = unknown;
  const words = path === param ? '`none`, `auto`, `required` or ' : '';
  throw new GatewayError('invalid_value', {
    param: path,
    message: `\`${path}\` must be ${words}the name of one of the tools, received ${JSON.stringify(name.slice(0, 128))}.`,
  });
}

function checkLength(param: string, tools: readonly object[]): void {
  const length = lengthOf(tools);
  if (length <= maxToolsLength) return;
  throw new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` must have at most ${maxToolsLength} characters of JSON, received ${length}.`,
  });
}

function lengthOf(tools: readonly object[]): number {
  return tools.reduce((sum, tool) => sum + JSON.stringify(tool).length, 0);
}

function toTool({ type, function: definition }: RequestTool, path: string): Tool {
  if (type !== 'function') {
    throw unsupported(`${path}.type`, `only \`function\` is, received ${JSON.stringify(type)}`);
  }
  if (definition === undefined) throw missing(`${path}.function`);
  return toFunction(definition, `${path}.function`);
}

function toFunction(
  { name, description, parameters, strict }: RequestFunction,
  path: string,
): Tool {
  const param = `${path}.parameters`;
  checkDepth(parameters, param);
  checkType(parameters, param);
  return {
    name,
    ...(description != null && { description }),
    ...(parameters != null && { parameters, ...readEnforced(parameters, strict === true, param) }),
  };
}

/** Arguments are an object, also where the schema has no type. */
function checkType(parameters: object | null | undefined, param: string): void {
  const type = (parameters as { readonly type?: unknown } | null | undefined)?.type;
  if (type === undefined || [type].flat().includes('object')) return;
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
