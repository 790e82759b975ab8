import { GatewayError } from '../../core/errors.ts';
import { nestsDeeper } from '../../core/nesting.ts';

export function missing(param: string): GatewayError {
  return new GatewayError('missing_required_parameter', {
    param,
    message: `\`${param}\` is required.`,
  });
}

/** @param advice - what to do instead, as the end of a sentence */
export function unsupported(param: string, advice: string): GatewayError {
  return new GatewayError('unsupported_parameter', {
    param,
    message: `\`${param}\` is not supported; ${advice}.`,
  });
}

/** Maximum nesting of arrays and objects, because llama.cpp reads them recursively. */
const maxDepth = 64;

/** @throws {GatewayError} `invalid_value` when a free-form value is nested too deeply */
export function checkDepth(value: unknown, param: string): void {
  if (nestsDeeper(value, maxDepth)) {
    throw new GatewayError('invalid_value', {
      param,
      message: `\`${param}\` is nested more than ${maxDepth} levels deep.`,
    });
  }
}
