import type { FastifyBaseLogger } from 'fastify';
import type { Tool } from '../../engine/chat.ts';
import type { RequestFunction } from '../chat/chat-shapes.ts';
import {
  checkLength,
  offerTools,
  readEach,
  type ToolOptions,
  toFunction,
} from '../chat/chat-tools.ts';
import { readToolChoice } from '../chat/tool-choice.ts';
import { missing } from '../fields/request-errors.ts';
import type { RequestProblems } from '../fields/request-problems.ts';
import type { MessageRequest, MessageTool } from './message-shapes.ts';

/** Tools that Anthropic defines and clients run; models other than Anthropic's have to see what they take. */
const clientTools: readonly {
  readonly type: RegExp;
  readonly definition: Omit<RequestFunction, 'name'>;
}[] = [
  {
    type: /^bash_\d+$/,
    definition: {
      description: 'Runs a command in a shell that keeps its state, and returns its output.',
      parameters: {
        type: 'object',
        properties: {
          command: { type: 'string', description: 'The command to run.' },
          restart: { type: 'boolean', description: 'True starts the shell anew.' },
        },
      },
    },
  },
  {
    type: /^text_editor_\d+$/,
    definition: {
      description: 'Views, creates and edits text files.',
      parameters: {
        type: 'object',
        properties: {
          command: { type: 'string', enum: ['view', 'create', 'str_replace', 'insert'] },
          path: { type: 'string', description: 'Path of the file or folder.' },
          file_text: { type: 'string', description: 'With create: the whole text of the file.' },
          old_str: { type: 'string', description: 'With str_replace: the text to replace.' },
          new_str: { type: 'string', description: 'With str_replace and insert: the new text.' },
          insert_line: {
            type: 'integer',
            description: 'With insert: the line after which the text is put; 0 is the beginning.',
          },
          view_range: {
            type: 'array',
            items: { type: 'integer' },
            description: 'With view: the first and the last line; -1 is the end of the file.',
          },
        },
        required: ['command', 'path'],
      },
    },
  },
  {
    type: /^memory_\d+$/,
    definition: {
      description: 'Keeps notes as files below /memories.',
      parameters: {
        type: 'object',
        properties: {
          command: {
            type: 'string',
            enum: ['view', 'create', 'str_replace', 'insert', 'delete', 'rename'],
          },
          path: { type: 'string' },
          file_text: { type: 'string' },
          old_str: { type: 'string' },
          new_str: { type: 'string' },
          insert_line: { type: 'integer' },
          insert_text: { type: 'string' },
          old_path: { type: 'string' },
          new_path: { type: 'string' },
          view_range: { type: 'array', items: { type: 'integer' } },
        },
        required: ['command'],
      },
    },
  },
];

/**
 * Reads the tools, and which of them the reply may or must call. Tools that Anthropic's servers run are left out.
 * @param problems - receives `invalid_value`, `missing_required_parameter`, `unsupported_parameter`
 */
export async function readMessageTools(
  { tools, tool_choice: choice }: MessageRequest,
  problems: RequestProblems,
  log: FastifyBaseLogger,
): Promise<ToolOptions> {
  const given = tools ?? [];
  problems.attempt(undefined, () => checkLength('tools', given));
  const leftOut = given.filter(isServerTool).map(({ type }) => type);
  if (leftOut.length > 0) log.debug({ tools: leftOut }, 'tools of other servers left out');
  const readers = given.flatMap((tool, index) =>
    isServerTool(tool) ? [] : [() => toTool(tool, `tools[${index}]`)],
  );
  const offered = await readEach(problems.concerns('tools') ? [] : readers, problems);
  return problems.read(['tools', 'tool_choice'], {}, () => {
    const read = choice == null ? { mode: 'auto' as const } : readToolChoice(choice, 'tool_choice');
    const parallel = choice?.disable_parallel_tool_use === true ? false : read.parallel;
    return offerTools(offered, { ...read, parallel }, 'tool_choice', 'tools');
  });
}

function isServerTool({ type }: MessageTool): boolean {
  return type != null && type !== 'custom' && definitionOf(type) === undefined;
}

function definitionOf(type: string): Omit<RequestFunction, 'name'> | undefined {
  return clientTools.find((each) => each.type.test(type))?.definition;
}

function toTool(tool: MessageTool, path: string): Tool {
  const { type, name, description, input_schema: schema, strict } = tool;
  if (name == null) throw missing(`${path}.name`);
  const known = type == null ? undefined : definitionOf(type);
  const definition = known ?? {
    description: withExamples(description ?? '', tool.input_examples ?? []),
    ...(schema != null && { parameters: schema }),
  };
  return toFunction({ ...definition, name, strict: strict === true }, path, 'input_schema');
}

function withExamples(description: string, examples: readonly object[]): string {
  if (examples.length === 0) return description;
  const lines = examples.map((example) => JSON.stringify(example));
  return [description, 'Examples of the input:', ...lines].filter((line) => line !== '').join('\n');
}
