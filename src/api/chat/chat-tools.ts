import { GatewayError } from '../../core/errors.ts';
import type { ChatOptions, Tool } from '../../engine/chat.ts';
import { relaxedSchema } from '../../grammar/schema.ts';
import { requireEnforceable } from '../fields/reply-format.ts';
import { checkDepth, missing, unsupported } from '../fields/request-errors.ts';
import type { RequestProblems } from '../fields/request-problems.ts';
import type { ChatCompletionRequest, RequestTool, ToolChoice } from './chat-shapes.ts';

type ToolOptions = Pick<ChatOptions, 'tools' | 'toolChoice' | 'parallelToolCalls'>;

const modes = ['none', 'auto', 'required'] as const;
type Mode = (typeof modes)[number];

/**
 * Reads the tools of a body that fits the schema, and the choice among them. A named function is the only one that
 * is offered, and it is called once unless `parallel_tool_calls` asks for more: clients that force a function to get an
 * object take one call, and a weak model would not end.
 * @param problems - receives what is wrong with a tool
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`, `missing_required_parameter` for the choice
 */
export function readTools(body: ChatCompletionRequest, problems: RequestProblems): ToolOptions {
  const given = body.tools ?? [];
  const tools = given.flatMap((tool, index) => problems.attempt([], () => [toTool(tool, index)]));
  // A choice of a tool that is refused itself is no second problem.
  if (tools.length < given.length) return {};
  const choice = toChoice(body.tool_choice ?? (tools.length > 0 ? 'auto' : 'none'));
  if (tools.length === 0) {
    if (choice === 'none' || choice === 'auto') return {};
    throw new GatewayError('invalid_value', {
      param: 'tool_choice',
      message: '`tool_choice` asks for a call, but there are no `tools`.',
    });
  }
  const parallel = body.parallel_tool_calls;
  const options = { ...(parallel != null && { parallelToolCalls: parallel }) };
  if (typeof choice === 'string') return { tools, toolChoice: choice, ...options };
  const chosen = tools.filter(({ name }) => name === choice.name);
  if (chosen.length === 0) {
    throw new GatewayError('invalid_value', {
      param: 'tool_choice.function.name',
      message: `\`tool_choice.function.name\` must be the name of one of the \`tools\`, received ${JSON.stringify(choice.name)}.`,
    });
  }
  return { tools: chosen, toolChoice: 'required', parallelToolCalls: false, ...options };
}

function toTool({ type, function: definition }: RequestTool, index: number): Tool {
  const path = `tools[${index}]`;
  if (type !== 'function') {
    throw unsupported(`${path}.type`, `only \`function\` is, received ${JSON.stringify(type)}`);
  }
  if (definition === undefined) throw missing(`${path}.function`);
  const { name, description, parameters, strict } = definition;
  const param = `${path}.function.parameters`;
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
  const { schema, changed } = relaxedSchema(parameters);
  return changed ? { enforced: schema } : {};
}

function toChoice(choice: ToolChoice): Mode | { readonly name: string } {
  if (typeof choice === 'string') {
    const mode = modes.find((each) => each === choice);
    if (mode !== undefined) return mode;
    throw new GatewayError('invalid_value', {
      param: 'tool_choice',
      message: `\`tool_choice\` must be \`none\`, \`auto\`, \`required\` or a function to call, received ${JSON.stringify(choice)}.`,
    });
  }
  if (choice.type !== 'function') {
    throw unsupported(
      'tool_choice.type',
      `only \`function\` is, received ${JSON.stringify(choice.type)}`,
    );
  }
  const { name } = (choice.function ?? {}) as { readonly name?: unknown };
  if (typeof name !== 'string') throw missing('tool_choice.function.name');
  return { name };
}
