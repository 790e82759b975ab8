import type { FastifyBaseLogger } from 'fastify';
import { GatewayError } from '../../core/errors.ts';
import type { EmbeddingInput } from '../../engine/embedder.ts';
import { checkBodyFields } from '../fields/body-fields.ts';
import {
  EmbeddingRequest,
  type EncodingFormat,
  maxInputCount,
  type RequestInput,
} from './embedding-shapes.ts';

/** One input of a request. */
export interface InputContent {
  /** Path in the request's body, such as `input[2]`. */
  readonly path: string;
  readonly content: EmbeddingInput;
}

/** A request for embeddings whose body is validated and normalised. */
export interface ParsedEmbedding {
  /** Undefined when the request leaves the choice to the server. */
  readonly model: string | undefined;
  readonly inputs: readonly InputContent[];
  readonly encodingFormat: EncodingFormat;
  /** Values of each vector; undefined: all. */
  readonly dimensions: number | undefined;
  /** Maximum tokens, longer inputs are truncated: a number, or the model's context; undefined: no truncation. */
  readonly truncation: number | 'context' | undefined;
}

/**
 * Reads a body that fits the schema, and applies the rules that a schema cannot express.
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`
 */
export function readEmbedding(body: EmbeddingRequest, log: FastifyBaseLogger): ParsedEmbedding {
  checkBodyFields(body, EmbeddingRequest.properties, log);
  return {
    model: body.model ?? undefined,
    inputs: readInputs(body.input),
    encodingFormat: body.encoding_format ?? 'float',
    dimensions: body.dimensions ?? undefined,
    truncation: body.truncate_prompt_tokens ?? (body.truncate === true ? 'context' : undefined),
  };
}

function readInputs(input: RequestInput): InputContent[] {
  if (typeof input === 'string') return [{ path: 'input', content: input }];
  if (input.some((part) => typeof part === 'number')) {
    return [{ path: 'input', content: input.map(requireToken) }];
  }
  if (input.length > maxInputCount) {
    throw new GatewayError('invalid_value', {
      param: 'input',
      message: `\`input\` may have at most ${maxInputCount} inputs, received ${input.length}.`,
    });
  }
  return input.map((content, index) => ({
    path: `input[${index}]`,
    content: typeof content === 'number' ? [content] : content,
  }));
}

function requireToken(part: string | number | readonly number[], index: number): number {
  if (typeof part === 'number') return part;
  throw new GatewayError('invalid_value', {
    param: `input[${index}]`,
    message: `\`input[${index}]\` must be a token id, because other items of \`input\` are; received ${typeof part === 'string' ? 'a string' : 'an array'}.`,
  });
}
