/** Texts that end a completion. */
import { type Static, Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import type { RequestProblems } from './request-problems.ts';

/** Each costs time for every generated character. OpenAI takes 4, Anthropic any number. */
const maxStopCount = 256;

/** Of all stops together: the engine keeps a number for each of their bytes. */
const maxStopCharacters = 65_536;

const Stops = Type.Unsafe<string | string[] | null>({
  type: ['string', 'array', 'null'],
  maxItems: maxStopCount,
  items: { type: 'string' },
});

export const stopFields = {
  stop: Type.Optional(Stops),
  /** Anthropic's, Cohere's and Google's name of the same field. */
  stop_sequences: Type.Optional(Stops),
};

const StopRequest = Type.Object(stopFields);

/**
 * The stops of a body, each once; empty texts stop nothing.
 * @param problems - receives `invalid_value` for stops that are too long
 */
export function readStops(
  { stop, stop_sequences: more }: Static<typeof StopRequest>,
  problems: RequestProblems,
): string[] {
  const stops = [...new Set([stop ?? [], more ?? []].flat().filter((text) => text !== ''))];
  const length = stops.reduce((sum, text) => sum + text.length, 0);
  if (length > maxStopCharacters) {
    const param = stop == null ? 'stop_sequences' : 'stop';
    problems.add(
      new GatewayError('invalid_value', {
        param,
        message: `\`${param}\` must have at most ${maxStopCharacters} characters in all, received ${length}.`,
      }),
    );
  }
  return stops;
}
