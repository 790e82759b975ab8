/** The choice among the tools, in the words of OpenAI, Anthropic and Mistral. */
import { missing, unsupported } from '../fields/request-errors.ts';
import type { ToolChoice } from './chat-shapes.ts';

/** `auto`: the model decides; `none`: no calls; `required`: at least one call. */
export type ToolChoiceMode = 'none' | 'auto' | 'required';

/** A tool that a choice names. */
export interface ChosenTool {
  readonly name: string;
  /** Path of the name in the body. */
  readonly path: string;
}

export interface ParsedToolChoice {
  readonly mode: ToolChoiceMode;
  /** The only tools that may be called; undefined: all. */
  readonly allowed?: readonly ChosenTool[];
  /** False allows one call in a reply, unless the request says more. */
  readonly parallel?: boolean;
}

const modes: Readonly<Record<string, ToolChoiceMode>> = {
  none: 'none',
  auto: 'auto',
  required: 'required',
  any: 'required',
};

/**
 * @param param - the field of the choice
 * @throws {GatewayError} `unsupported_parameter`, `missing_required_parameter`
 */
export function readToolChoice(choice: ToolChoice, param: string): ParsedToolChoice {
  if (typeof choice === 'string') {
    const mode = modeOf(choice);
    return mode === undefined ? named(choice, param) : { mode };
  }
  const { type = 'function' } = choice;
  const mode = typeof type === 'string' ? modeOf(type) : undefined;
  if (mode !== undefined) {
    const isSingle = choice.disable_parallel_tool_use === true;
    return { mode, ...(isSingle && { parallel: false }) };
  }
  switch (type) {
    case 'function':
    case 'tool':
      return readNamed(choice, param);
    case 'allowed_tools':
      return readAllowed(choice, param);
    default:
      throw unsupported(
        `${param}.type`,
        `only \`function\`, \`allowed_tools\`, \`auto\`, \`none\` and \`required\` are, received ${JSON.stringify(type)}`,
      );
  }
}

function modeOf(word: string): ToolChoiceMode | undefined {
  return Object.hasOwn(modes, word) ? modes[word] : undefined;
}

function named(name: string, path: string): ParsedToolChoice {
  return { mode: 'required', allowed: [{ name, path }], parallel: false };
}

function readNamed(choice: object, param: string): ParsedToolChoice {
  const chosen = nameWithin(choice, param);
  if (chosen === undefined) throw missing(`${param}.function.name`);
  return named(chosen.name, chosen.path);
}

/** The name of `{"name": …}` or of `{"function": {"name": …}}`. */
function nameWithin(tool: unknown, path: string): ChosenTool | undefined {
  if (typeof tool !== 'object' || tool === null) return undefined;
  const { name, function: definition } = tool as { name?: unknown; function?: unknown };
  if (definition !== undefined) return nameWithin(definition, `${path}.function`);
  return typeof name === 'string' ? { name, path: `${path}.name` } : undefined;
}

/** OpenAI's subset of the tools, whose parts stand in an object of their own or beside the type. */
function readAllowed(choice: { readonly [key: string]: unknown }, param: string): ParsedToolChoice {
  const isNested = typeof choice.allowed_tools === 'object' && choice.allowed_tools !== null;
  const path = isNested ? `${param}.allowed_tools` : param;
  const { mode = 'auto', tools } = (isNested ? choice.allowed_tools : choice) as {
    readonly mode?: unknown;
    readonly tools?: unknown;
  };
  if (mode !== 'auto' && mode !== 'required') {
    throw unsupported(
      `${path}.mode`,
      `only \`auto\` and \`required\` are, received ${JSON.stringify(mode)}`,
    );
  }
  if (!Array.isArray(tools)) throw missing(`${path}.tools`);
  const allowed = tools.map((tool: unknown, index) => {
    const place = `${path}.tools[${index}]`;
    const chosen = typeof tool === 'string' ? { name: tool, path: place } : nameWithin(tool, place);
    if (chosen === undefined) throw missing(`${place}.function.name`);
    return chosen;
  });
  return allowed.length === 0 ? { mode: 'none' } : { mode, allowed };
}
