import { GatewayError } from '../../core/errors.ts';
import type { EmbeddingInput } from '../../engine/embedder.ts';
import { refuseUnsupported } from '../fields/unsupported-parameters.ts';
import {
  EmbeddingRequest,
  type EncodingFormat,
  maxInputCount,
  type RequestInput,
} from './embedding-shapes.ts';

/** One input of a request. */
export interface InputContent {
  /** Where it stands in the body, such as `input[2]`. */
  readonly path: string;
  readonly content: EmbeddingInput;
}

/** A request for embeddings in our words. */
export interface EmbeddingWork {
  /** Undefined when the request leaves the choice to the server. */
  readonly model: string | undefined;
  readonly inputs: readonly InputContent[];
  readonly encodingFormat: EncodingFormat;
  /** Values of each vector; undefined: all there are. */
  readonly dimensions: number | undefined;
  /** Tokens kept of longer inputs: a number, or as many as the model takes; undefined: no truncation. */
  readonly truncation: number | 'context' | undefined;
}

/**
 * Reads a body that fits the schema, and applies the rules a schema cannot say.
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`
 */
export function readEmbeddingRequest(body: EmbeddingRequest): EmbeddingWork {
  refuseUnsupported(body, EmbeddingRequest.properties);
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
