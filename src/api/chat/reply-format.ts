import { GatewayError } from '../../core/errors.ts';
import type { ChatOptions, Tool } from '../../engine/chat.ts';
import { checkGrammar } from '../../grammar/gbnf.ts';
import { GrammarProblem, SchemaProblems } from '../../grammar/problem.ts';
import { enforceableSchema, relaxedSchema } from '../../grammar/schema.ts';
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
  if (body.json_schema) return { jsonSchema: readSchema(body.json_schema, 'json_schema', false) };
  return { jsonSchema: readResponseFormat(body.response_format as ResponseFormat) };
}

/**
 * A schema in the form that can be enforced. Unless it is strict, keywords that no grammar can enforce are left out.
 * @throws {GatewayError} `unsupported_parameter` that names each keyword of a strict schema that cannot be enforced
 */
export function readSchema(schema: object, param: string, strict: boolean): object {
  checkDepth(schema, param);
  if (!strict) return relaxedSchema(schema, 'value').schema;
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
        : readSchema(format.schema, 'response_format.schema', format.strict === true);
    case 'json_schema':
      return readJsonSchema(format);
    default:
      throw unsupported(
        'response_format.type',
        `only \`text\`, \`json_object\` and \`json_schema\` are, received ${JSON.stringify(format.type.slice(0, 40))}`,
      );
  }
}

/** The schema stands within `json_schema`, as OpenAI has it, or beside the type. */
function readJsonSchema({ json_schema: named, schema, strict }: ResponseFormat): object {
  if (named != null) {
    const param = 'response_format.json_schema.schema';
    if (named.schema == null) throw missing(param);
    return readSchema(named.schema, param, (named.strict ?? strict) === true);
  }
  if (schema == null) throw missing('response_format.json_schema');
  return readSchema(schema, 'response_format.schema', strict === true);
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
    const problems = error instanceof SchemaProblems ? error.problems : [error];
    const paths = problems.map(({ path }) => (path === '' ? param : `${param}.${path}`));
    const reasons = problems.map(({ message }, index) => `\`${paths[index]}\` ${message}`);
    throw new GatewayError('unsupported_parameter', {
      param: paths[0] ?? param,
      message: `${reasons.join('; ')}.`,
      cause: error,
    });
  }
}
