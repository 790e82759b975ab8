import { GatewayError } from '../../core/errors.ts';
import type { ChatOptions, Tool } from '../../engine/chat.ts';
import { checkGrammar } from '../../grammar/gbnf.ts';
import { GrammarProblem } from '../../grammar/problem.ts';
import { enforceableSchema } from '../../grammar/schema.ts';
import { checkDepth, missing, unsupported } from '../fields/request-errors.ts';
import type { ChatCompletionRequest, ResponseFormat } from './chat-shapes.ts';

/** The format of the whole reply, unless it calls a tool. */
type ReplyFormat = Pick<ChatOptions, 'jsonSchema' | 'grammar'>;

/**
 * Reads the format that a body requests by `response_format`, or by one of the extensions `json_schema` and
 * `grammar`.
 * @param offersCalls - true if the reply may call tools instead
 * @throws {GatewayError} `invalid_value`, `unsupported_parameter`, `missing_required_parameter`
 */
export function readReplyFormat(body: ChatCompletionRequest, offersCalls: boolean): ReplyFormat {
  const asked = [
    body.response_format != null && body.response_format.type !== 'text' && 'response_format',
    body.json_schema != null && 'json_schema',
    body.grammar != null && body.grammar !== '' && 'grammar',
  ].filter((name) => name !== false);
  const [param, second] = asked;
  if (param === undefined) return {};
  if (second !== undefined) {
    throw new GatewayError('invalid_value', {
      param: second,
      message: `\`${second}\` and \`${param}\` cannot be sent together: a reply has one format.`,
    });
  }
  if (offersCalls && body.grammar) {
    throw new GatewayError('invalid_value', {
      param,
      message: '`grammar` and `tools` cannot be sent together, unless `tool_choice` is `none`.',
    });
  }
  if (body.grammar) return { grammar: readGrammar(body.grammar) };
  if (body.json_schema) return { jsonSchema: readSchema(body.json_schema, 'json_schema') };
  return { jsonSchema: readResponseFormat(body.response_format as ResponseFormat) };
}

/**
 * A schema in the form that can be enforced exactly.
 * @throws {GatewayError} `unsupported_parameter` with the path of the keyword that cannot
 */
export function readSchema(schema: object, param: string): object {
  checkDepth(schema, param);
  return namingProblems(param, () => enforceableSchema(schema).schema);
}

/** The same for the parameters of a strict tool. */
export function requireEnforceable(parameters: object, param: string): Pick<Tool, 'enforced'> {
  const { schema, changed } = namingProblems(param, () => enforceableSchema(parameters));
  return changed ? { enforced: schema } : {};
}

function readResponseFormat(format: ResponseFormat): object {
  switch (format.type) {
    case 'json_object':
      // Any object, unless the client sends a schema of its own.
      return format.schema == null
        ? { type: 'object' }
        : readSchema(format.schema, 'response_format.schema');
    case 'json_schema': {
      if (format.json_schema == null) throw missing('response_format.json_schema');
      const { schema } = format.json_schema;
      if (schema == null) throw missing('response_format.json_schema.schema');
      return readSchema(schema, 'response_format.json_schema.schema');
    }
    default:
      throw unsupported(
        'response_format.type',
        `only \`text\`, \`json_object\` and \`json_schema\` are, received ${JSON.stringify(format.type.slice(0, 40))}`,
      );
  }
}

function readGrammar(grammar: string): string {
  namingProblems('grammar', () => checkGrammar(grammar));
  return grammar;
}

function namingProblems<Result>(param: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof GrammarProblem)) throw error;
    const path = error.path === '' ? param : `${param}.${error.path}`;
    throw new GatewayError('unsupported_parameter', {
      param: path,
      message: `\`${path}\` ${error.message}.`,
      cause: error,
    });
  }
}
