import type { FastifyBaseLogger } from 'fastify';
import { Type } from 'typebox';
import { Errors } from 'typebox/value';
import { GatewayError } from '../../core/errors.ts';
import type { Tool } from '../../engine/chat.ts';
import { patternOfLark } from '../../grammar/lark.ts';
import {
  checkLength,
  offerTools,
  readEach,
  type ToolOptions,
  toFunction,
} from '../chat/chat-tools.ts';
import { readToolChoice } from '../chat/tool-choice.ts';
import { namingProblems } from '../fields/reply-format.ts';
import { missing, unsupported } from '../fields/request-errors.ts';
import type { RequestProblems } from '../fields/request-problems.ts';
import { itemsOf, type KeptContext } from './kept-context.ts';
import { type ResponseRequest, ResponseTool, type ResponseToolChoice } from './response-shapes.ts';

/** A tool as the request names it; the model knows it by one name. */
export interface CallableTool {
  readonly kind: 'function' | 'custom';
  readonly name: string;
  readonly namespace?: string;
}

/** The tools of a request, by the names that the model knows. */
export type CallableTools = ReadonlyMap<string, CallableTool>;

export interface ParsedTools {
  readonly options: ToolOptions;
  readonly callable: CallableTools;
}

/** The name of a tool of a namespace, as MCP clients write it. */
export function flatName(namespace: string | null | undefined, name: string): string {
  return namespace == null || namespace === '' ? name : `${namespace}__${name}`;
}

/**
 * Reads the tools, and which of them the reply may or must call. Tools that OpenAI's servers run are left out.
 * @param kept - whose additional tools are offered, too
 * @param problems - receives `invalid_value`, `missing_required_parameter`, `unsupported_parameter`
 */
export async function readResponseTools(
  body: ResponseRequest,
  kept: KeptContext,
  problems: RequestProblems,
  log: FastifyBaseLogger,
): Promise<ParsedTools> {
  const given = [
    ...(body.tools ?? []).map((tool, index) => ({ tool, path: `tools[${index}]` })),
    ...problems.read(['input'], [], () => additionalTools(body, kept)),
  ];
  const all = given.map(({ tool }) => tool);
  problems.attempt(undefined, () => checkLength('tools', all));
  const callable = new Map<string, CallableTool>();
  const leftOut: string[] = [];
  const readers = problems.concerns('tools')
    ? []
    : given.flatMap(({ tool, path }) => readersOf(tool, path, { callable, leftOut, problems }));
  if (leftOut.length > 0) log.debug({ tools: leftOut }, 'tools of other servers left out');
  const offered = await readEach(readers, problems);
  const options = problems.read(['tools', 'tool_choice'], {}, () => {
    const choice = readChoice(body.tool_choice);
    const parallel = body.parallel_tool_calls ?? choice.parallel;
    return offerTools(offered, { ...choice, parallel }, 'tool_choice', 'tools');
  });
  return { options, callable };
}

interface PlacedTool {
  readonly tool: ResponseTool;
  /** In the body. */
  readonly path: string;
}

/** Items with tools that a developer gives, or a client's search finds, in the course of the conversation. */
const toolItems: ReadonlySet<string> = new Set(['additional_tools', 'tool_search_output']);

function additionalTools({ input }: ResponseRequest, kept: KeptContext): PlacedTool[] {
  const earlier = kept.conversation.map((item) => ({ item, path: 'previous_response_id' }));
  const own = itemsOf(input, kept.referenced).map((item, index) => {
    return { item, path: `input[${index}].tools` };
  });
  return [...earlier, ...own]
    .filter(({ item }) => toolItems.has(item.type ?? ''))
    .flatMap(({ item, path }) =>
      toolsIn(item.tools, path).map((tool, index) => ({ tool, path: `${path}[${index}]` })),
    );
}

/** The list is not in the schema: items of other types have a field of its name with something else. */
function toolsIn(value: unknown, path: string): readonly ResponseTool[] {
  const [error] = Errors(ToolList, value);
  if (error === undefined) return value as readonly ResponseTool[];
  const place = error.instancePath.replaceAll(/\/(\d+)/g, '[$1]').replaceAll('/', '.');
  const param = `${path}${place}`;
  throw new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` ${error.message}.`,
  });
}

const ToolList = Type.Array(ResponseTool);

interface Reading {
  readonly callable: Map<string, CallableTool>;
  readonly leftOut: string[];
  readonly problems: RequestProblems;
}

function readersOf(
  tool: ResponseTool,
  path: string,
  reading: Reading,
  namespace?: string,
): (() => Tool)[] {
  const { type, name } = tool;
  switch (type) {
    case 'function':
    case 'custom': {
      if (name == null) {
        reading.problems.add(missing(`${path}.name`));
        return [];
      }
      const flat = flatName(namespace, name);
      reading.callable.set(flat, {
        kind: type,
        name,
        ...(namespace !== undefined && { namespace }),
      });
      return [
        () =>
          type === 'function' ? toFunctionTool(tool, flat, path) : toCustomTool(tool, flat, path),
      ];
    }
    case 'namespace':
      if (namespace === undefined && tool.tools != null) {
        return tool.tools.flatMap((each, index) =>
          readersOf(each, `${path}.tools[${index}]`, reading, name ?? undefined),
        );
      }
      reading.problems.add(missing(`${path}.tools`));
      return [];
    default:
      reading.leftOut.push(String(type));
      return [];
  }
}

function toFunctionTool(tool: ResponseTool, name: string, path: string): Tool {
  const { description = null, parameters = null, strict = null } = tool;
  return toFunction({ name, description, parameters, strict }, path);
}

/** A custom tool takes a text; the model is shown a function that takes an object with it. */
function toCustomTool(
  { description = null, format }: ResponseTool,
  name: string,
  path: string,
): Tool {
  const input = { type: 'string', ...(format != null && formatOf(format, `${path}.format`)) };
  const shown = {
    type: 'object',
    properties: { input: { type: 'string', description: inputDescription(format) } },
    required: ['input'],
  };
  const enforced = { ...shown, properties: { input }, additionalProperties: false };
  const tool = namingProblems(`${path}.format.definition`, () =>
    toFunction(
      { name, description, parameters: enforced, strict: true },
      `${path}.format.definition`,
    ),
  );
  return { ...tool, parameters: shown, enforced: tool.enforced ?? enforced };
}

function inputDescription(format: ResponseTool['format']): string {
  if (format?.type !== 'grammar') return 'The text that the tool takes.';
  return `The text that the tool takes, in this ${format.syntax ?? 'lark'} grammar:\n${format.definition ?? ''}`;
}

/** @throws {GatewayError} for a grammar that cannot be enforced */
function formatOf(
  { type, syntax, definition }: NonNullable<ResponseTool['format']>,
  path: string,
): { readonly pattern?: string } {
  if (type === 'text') return {};
  if (type !== 'grammar') {
    throw unsupported(
      `${path}.type`,
      `only \`text\` and \`grammar\` are, received ${JSON.stringify(type.slice(0, 40))}`,
    );
  }
  if (definition == null) throw missing(`${path}.definition`);
  const param = `${path}.definition`;
  switch (syntax) {
    case 'regex':
      return { pattern: `^(?:${definition})$` };
    case 'lark':
      return { pattern: `^(?:${namingProblems(param, () => patternOfLark(definition))})$` };
    default:
      throw unsupported(`${path}.syntax`, 'only `lark` and `regex` are');
  }
}

/** The choice in the words of chats; tools of namespaces have one name there. */
function readChoice(choice: ResponseToolChoice | null | undefined) {
  if (choice == null) return { mode: 'auto' as const };
  if (typeof choice === 'string') {
    const word = readToolChoice(choice, 'tool_choice');
    if (word.allowed === undefined) return word;
    throw new GatewayError('invalid_value', {
      param: 'tool_choice',
      message: '`tool_choice` must be `none`, `auto`, `required` or an object.',
    });
  }
  return readToolChoice(flatChoice(choice), 'tool_choice');
}

function flatChoice(choice: { readonly [key: string]: unknown }): {
  readonly [key: string]: unknown;
} {
  const { type, name, namespace, tools } = choice;
  if (type === 'allowed_tools' && Array.isArray(tools)) {
    const callable = tools.filter((tool) => isCallable(tool));
    return { ...choice, tools: callable.map((tool) => flatChoice(tool)) };
  }
  if (type !== 'function' && type !== 'custom') return choice;
  const space = typeof namespace === 'string' ? namespace : undefined;
  return { type: 'function', ...(typeof name === 'string' && { name: flatName(space, name) }) };
}

/** Tools that the server does not run cannot be allowed either. */
function isCallable(tool: unknown): boolean {
  if (typeof tool !== 'object' || tool === null) return true;
  const { type } = tool as { readonly type?: unknown };
  return type === undefined || type === 'function' || type === 'custom';
}
