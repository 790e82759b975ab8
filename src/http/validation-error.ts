/** Turns a failed validation into an error that names each field, the expectation and the value. */
import type { FastifySchemaValidationError } from 'fastify';
import { GatewayError } from '../core/errors.ts';
import { maxProblemCount, RequestRefusal, refusalOf } from '../core/request-refusal.ts';

/** The keywords of a JSON Schema that appear in messages. */
interface FieldSchema {
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

/** With `verbose: true`, Ajv adds the invalid value and the schema of the failed keyword. */
interface VerboseError extends FastifySchemaValidationError {
  readonly data?: unknown;
  readonly parentSchema?: FieldSchema;
  /** Set by `body-validator.ts`: the value behind this error was not checked. */
  readonly isLast?: boolean;
}

/** Messages quote at most this many characters of a string. */
const quotedLengthLimit = 40;

/** Fastify's `schemaErrorFormatter`. A value that fails several keywords is one problem: its message names them all. */
export function toValidationError(errors: FastifySchemaValidationError[]): GatewayError {
  const problems = new Map<string, GatewayError>();
  for (const error of errors as VerboseError[]) {
    const problem = toProblem(error);
    if (error.isLast === true) return new RequestRefusal([problem], false);
    const param = problem.param ?? '';
    if (!problems.has(param)) problems.set(param, problem);
    if (problems.size === maxProblemCount) break;
  }
  return refusalOf([...problems.values()]) ?? new GatewayError('invalid_value');
}

function toProblem({
  instancePath,
  keyword,
  params,
  data,
  parentSchema = {},
}: VerboseError): GatewayError {
  const path = toPath(instancePath);
  if (keyword === 'required') {
    const param = joinPath(path, String(params.missingProperty));
    return new GatewayError('missing_required_parameter', {
      param,
      message: `\`${param}\` is required.`,
    });
  }
  if (path === '') {
    return new GatewayError(data === null ? 'invalid_json' : 'invalid_value', {
      message: `The request body must be a JSON object, received ${received(data)}.`,
    });
  }
  return invalidValue(path, expectation(parentSchema), data);
}

/** "`max_tokens` must be an integer of at least 1, received 0." */
function invalidValue(param: string, expected: string, value: unknown): GatewayError {
  return new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` must be ${expected}, received ${received(value)}.`,
  });
}

/** `/messages/2/content` to `messages[2].content`. */
function toPath(instancePath: string): string {
  return instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce(joinPath, '');
}

function joinPath(path: string, key: string): string {
  if (/^\d+$/.test(key)) return `${path}[${key}]`;
  return path === '' ? key : `${path}.${key}`;
}

function expectation(schema: FieldSchema): string {
  if (schema.enum !== undefined) {
    return `one of ${schema.enum.map((value) => `\`${String(value)}\``).join(', ')}`;
  }
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  return [schema.type ?? []]
    .flat()
    .map((type) => typeExpectation(type, schema))
    .join(' or ');
}

function typeExpectation(type: string, schema: FieldSchema): string {
  switch (type) {
    case 'integer':
      return schema.format === 'int64' ? 'a 64-bit integer' : `an integer${range(schema)}`;
    case 'number':
      return `a number${range(schema)}`;
    case 'string':
      return textExpectation(schema);
    case 'array':
      return `${schema.minItems === undefined ? 'an' : 'a non-empty'} array${
        schema.maxItems === undefined ? '' : ` of at most ${schema.maxItems} items`
      }`;
    case 'object':
      return 'an object';
    case 'null':
      return 'null';
    default:
      return `a ${type}`;
  }
}

function textExpectation({ minLength, maxLength, pattern }: FieldSchema): string {
  const text = minLength === undefined ? 'a string' : 'a non-empty string';
  if (pattern !== undefined) return `${text} that matches \`${pattern}\``;
  return maxLength === undefined ? text : `${text} of at most ${maxLength} characters`;
}

function range({ minimum, exclusiveMinimum, maximum }: FieldSchema): string {
  if (exclusiveMinimum !== undefined && maximum !== undefined) {
    return ` above ${exclusiveMinimum} and at most ${maximum}`;
  }
  if (minimum !== undefined && maximum !== undefined) return ` between ${minimum} and ${maximum}`;
  return minimum === undefined ? '' : ` of at least ${minimum}`;
}

function received(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value !== 'string') return String(value);
  if (value.length <= quotedLengthLimit) return JSON.stringify(value);
  return `${JSON.stringify(value.slice(0, quotedLengthLimit))}…`;
}
