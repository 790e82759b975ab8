/** `logit_bias` in OpenAI's form, an object, and in llama-server's, which also has pairs, texts and `false`. */
import { Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import { documented } from '../../core/route-doc.ts';

/** More than OpenAI's limit (300); each entry costs time for every sampled token. */
export const maxBiasCount = 1024;

/** Characters of a text, all of whose tokens get its bias. */
const maxTextLength = 256;

/** Biases of a body. Only a model knows the tokens of the texts. */
export interface LogitBias {
  readonly ids: readonly (readonly [id: number, bias: number])[];
  readonly texts: readonly (readonly [text: string, bias: number])[];
}

const documentedBias = {
  anyOf: [
    { type: 'number', minimum: -100, maximum: 100 },
    { type: 'boolean', enum: [false] },
  ],
};

export const LogitBiasField = Type.Optional(
  Type.Unsafe<object | null>({
    type: ['object', 'array', 'null'],
    ...documented({
      anyOf: [
        {
          type: 'object',
          description:
            'Biases, -100 to 100, by token id or text. A text biases each of its tokens. `false` excludes a token.',
          additionalProperties: documentedBias,
        },
        {
          type: 'array',
          description: 'Pairs of a token id or a text, and its bias.',
          items: {
            type: 'array',
            prefixItems: [{ anyOf: [{ type: 'integer' }, { type: 'string' }] }, documentedBias],
            minItems: 2,
            maxItems: 2,
          },
        },
        { type: 'null' },
      ],
    }),
  }),
);

/** @throws {GatewayError} `invalid_value` with the path of the entry */
export function readLogitBias(bias: object): LogitBias {
  const entries = Array.isArray(bias)
    ? bias.map(toPair)
    : Object.entries(bias).map(([key, value]) => ({ path: `logit_bias.${key}`, key, value }));
  if (entries.length > maxBiasCount) {
    throw invalid(
      'logit_bias',
      `must have at most ${maxBiasCount} entries, received ${entries.length}`,
    );
  }
  const ids: [number, number][] = [];
  const texts: [string, number][] = [];
  for (const { path, key, value } of entries) {
    const amount = toBias(value, path);
    const id = toId(key, path);
    if (id !== undefined) ids.push([id, amount]);
    else texts.push([key as string, amount]);
  }
  return { ids, texts };
}

interface Entry {
  readonly path: string;
  readonly key: unknown;
  readonly value: unknown;
}

function toPair(pair: unknown, index: number): Entry {
  const path = `logit_bias[${index}]`;
  if (!Array.isArray(pair) || pair.length !== 2) {
    throw invalid(path, 'must be a pair of a token id or a text, and its bias');
  }
  return { path, key: pair[0], value: pair[1] };
}

/** @returns undefined for a text */
function toId(key: unknown, path: string): number | undefined {
  if (typeof key === 'number') {
    if (Number.isSafeInteger(key) && key >= 0) return key;
    throw invalid(path, `must have a token id of at least 0, received ${key}`);
  }
  if (typeof key !== 'string' || key === '' || key.length > maxTextLength) {
    throw invalid(path, `must have a token id, or a text of 1 to ${maxTextLength} characters`);
  }
  if (!/^-?\d+$/.test(key)) return undefined;
  if (key.startsWith('-')) throw invalid(path, 'must have a token id of at least 0');
  return Number(key);
}

function toBias(value: unknown, path: string): number {
  if (value === false) return Number.NEGATIVE_INFINITY;
  if (typeof value === 'number' && value >= -100 && value <= 100) return value;
  const received = typeof value === 'number' ? value : JSON.stringify(value)?.slice(0, 40);
  throw invalid(path, `must be a number between -100 and 100, or false, received ${received}`);
}

function invalid(param: string, problem: string): GatewayError {
  return new GatewayError('invalid_value', { param, message: `\`${param}\` ${problem}.` });
}
