import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../../core/errors.ts';
import type { ReplyFormat, Tool } from '../../engine/chat.ts';
import { checkGrammar } from '../../grammar/gbnf.ts';
import { GrammarProblem, SchemaProblems } from '../../grammar/problem.ts';
import { enforceableSchema, relaxedSchema } from '../../grammar/schema.ts';
import {
  grammarInLines,
  grammarOfChoices,
  grammarOfPattern,
  isLark,
} from '../../grammar/text-grammar.ts';
import type { ReplyFormatBody, ResponseFormat, StructuredOutputs } from './reply-format-fields.ts';
import { checkDepth, missing, unsupported } from './request-errors.ts';

/** A field that asks for a format, and the reader of its value. */
interface Asked {
  readonly param: string;
  readonly read: () => ReplyFormat;
}

/**
 * Reads the format that a body requests. A neutral value, such as null or an empty grammar, requests none.
 * @param offersCalls - true if the reply may call tools instead
 * @throws {GatewayError} `invalid_value`, `unsupported_parameter`, `missing_required_parameter`
 */
export function readReplyFormat(body: ReplyFormatBody, offersCalls: boolean): ReplyFormat {
  const [asked, second] = [...askedFormats(body)];
  if (asked === undefined) return {};
  const { param } = asked;
  if (second !== undefined) {
    throw new GatewayError('invalid_value', {
      param: second.param,
      message: `\`${second.param}\` and \`${param}\` cannot be sent together: a reply has one format.`,
    });
  }
  const format = asked.read();
  if (offersCalls && format.jsonSchema === undefined) {
    throw new GatewayError('invalid_value', {
      param,
      message: `\`${param}\` and \`tools\` cannot be sent together, unless \`tool_choice\` is \`none\`.`,
    });
  }
  return format;
}

function* askedFormats(body: ReplyFormatBody): Iterable<Asked> {
  const format = body.response_format;
  if (format != null && format.type !== 'text') {
    yield { param: 'response_format', read: () => ({ jsonSchema: readResponseFormat(format) }) };
  }
  yield* schemas('json_schema', body.json_schema);
  yield* schemas('guided_json', body.guided_json);
  const whole = body.grammar;
  if (whole) {
    yield { param: 'grammar', read: () => ({ grammar: readGrammar(whole, 'grammar') }) };
  }
  yield* grammars('guided_grammar', body.guided_grammar);
  yield* grammars('ebnf', body.ebnf);
  yield* patterns('guided_regex', body.guided_regex);
  yield* patterns('regex', body.regex);
  yield* choices('guided_choice', body.guided_choice);
  yield* structuredOutputs(body.structured_outputs);
  const { format: ollama } = body;
  if (ollama != null && ollama !== '') {
    yield { param: 'format', read: () => ({ jsonSchema: readOllamaFormat(ollama) }) };
  }
}

/** `json` is any object. */
function readOllamaFormat(format: string | object): object {
  if (typeof format === 'object') return readSchema(format, 'format', false);
  if (format === 'json') return { type: 'object' };
  throw unsupported('format', `only \`json\` and a schema are, received ${JSON.stringify(format)}`);
}

function* structuredOutputs(outputs: StructuredOutputs | null | undefined): Iterable<Asked> {
  if (outputs == null) return;
  const param = (name: string) => `structured_outputs.${name}`;
  refuseOtherOutputs(outputs);
  yield* schemas(param('json'), outputs.json);
  yield* patterns(param('regex'), outputs.regex);
  yield* choices(param('choice'), outputs.choice);
  yield* grammars(param('grammar'), outputs.grammar);
  if (outputs.json_object === true) {
    yield { param: param('json_object'), read: () => ({ jsonSchema: { type: 'object' } }) };
  }
}

/** Parts that would change the form of the reply. vLLM's choice of a backend changes nothing. */
function refuseOtherOutputs(outputs: object): void {
  for (const [name, value] of Object.entries(outputs)) {
    const isForm = ['structural_tag', 'whitespace_pattern', 'disable_any_whitespace'].includes(
      name,
    );
    if (!isForm || value === null || value === false) continue;
    throw unsupported(`structured_outputs.${name}`, 'leave it out');
  }
}

function* schemas(param: string, value: object | string | null | undefined): Iterable<Asked> {
  if (value == null || value === '') return;
  yield { param, read: () => ({ jsonSchema: readSchema(toSchema(value, param), param, false) }) };
}

function* grammars(param: string, value: string | null | undefined): Iterable<Asked> {
  if (value == null || value === '') return;
  const read = () => {
    requireGbnf(value, param);
    return namingProblems(param, () => grammarInLines(value));
  };
  yield { param, read: () => ({ contentGrammar: read() }) };
}

function* patterns(param: string, value: string | null | undefined): Iterable<Asked> {
  if (value == null || value === '') return;
  const read = () => namingProblems(param, () => grammarOfPattern(value));
  yield { param, read: () => ({ contentGrammar: read() }) };
}

function* choices(param: string, value: readonly string[] | null | undefined): Iterable<Asked> {
  if (value == null) return;
  const read = () => namingProblems(param, () => grammarOfChoices(value));
  yield { param, read: () => ({ contentGrammar: read() }) };
}

/** A schema that is sent as it is, or as its JSON text. */
function toSchema(value: object | string, param: string): object {
  const schema = typeof value === 'string' ? parseSchema(value, param) : value;
  if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) return schema;
  throw new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` must be a JSON schema, or its text.`,
  });
}

function parseSchema(text: string, param: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new GatewayError('invalid_value', {
      param,
      message: `\`${param}\` must be a JSON schema, or its text; the text is not valid JSON.`,
      cause,
    });
  }
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
  const { schema } = namingProblems(param, () => enforceableSchema(parameters, 'arguments'));
  return enforcedPart(schema, parameters);
}

/** The rewritten schema of a tool, where it is not the one that the model sees. */
export function enforcedPart(schema: object, shown: object): Pick<Tool, 'enforced'> {
  return isDeepStrictEqual(schema, shown) ? {} : { enforced: schema };
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

function readGrammar(grammar: string, param: string): string {
  requireGbnf(grammar, param);
  return namingProblems(param, () => (checkGrammar(grammar) ? grammar : grammarInLines(grammar)));
}

function requireGbnf(grammar: string, param: string): void {
  if (!isLark(grammar)) return;
  throw unsupported(param, 'a grammar must be written in GBNF, this one is written in Lark');
}

/**
 * Calls a reader of a grammar.
 * @throws {GatewayError} `unsupported_parameter` that names what cannot be enforced, below `param`
 */
export function namingProblems<Result>(param: string, read: () => Result): Result {
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
