import { isUtf8 } from 'node:buffer';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { GatewayError } from '../../core/errors.ts';
import { bodyErrors, modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { Tokenizer } from '../../engine/tokenizer.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import { checkTokenIds } from '../fields/token-ids.ts';
import {
  Content,
  DetokenizeRequest,
  TokenizeRequest,
  Tokens,
  type TokenWithPiece,
} from './token-shapes.ts';

/** Maximum tokens of a list with pieces: such a list is for reading, and large in JSON. */
const maxPieceCount = 65_536;

/** Pieces looked up at the same time; other requests share the worker threads. */
const pieceBatchSize = 64;

/** llama-server's `POST /tokenize` and `POST /detokenize`. */
export const tokens: FastifyPluginAsyncTypebox<{ readonly models: ModelRegistry }> = async (
  app,
  { models },
) => {
  const tokenizing = { schema: { body: TokenizeRequest }, config: { doc: tokenizeDoc } };
  app.post('/tokenize', tokenizing, async (request): Promise<Tokens> => {
    const { content, add_special: addSpecial, parse_special: parseSpecial } = request.body;
    const { tokenizer } = models.require().engine;
    const ids = await tokenizer.tokenize(content, {
      addSpecial: addSpecial ?? false,
      parseSpecial: parseSpecial ?? true,
    });
    if (request.body.with_pieces !== true) return { tokens: [...ids] };
    if (ids.length > maxPieceCount) throw tooManyPieces(ids.length);
    const pieces = await piecesOf(ids, tokenizer);
    return { tokens: ids.map((id) => ({ id, piece: pieces.get(id) ?? '' })) };
  });

  app.post(
    '/detokenize',
    { schema: { body: DetokenizeRequest }, config: { doc: detokenizeDoc } },
    async (request): Promise<Content> => {
      const { tokens: ids } = request.body;
      const { info, tokenizer } = models.require().engine;
      checkTokenIds(ids, info.vocabularySize, 'tokens');
      return { content: (await tokenizer.detokenize(ids)).toString() };
    },
  );
};

function tooManyPieces(tokenCount: number): GatewayError {
  return new GatewayError('invalid_value', {
    param: 'with_pieces',
    message: `\`with_pieces\` may only be sent with texts of at most ${maxPieceCount} tokens, received ${tokenCount}.`,
  });
}

/** The piece of each token; equal tokens are looked up once. */
async function piecesOf(
  ids: readonly number[],
  tokenizer: Tokenizer,
): Promise<ReadonlyMap<number, TokenWithPiece['piece']>> {
  const pieces = new Map<number, TokenWithPiece['piece']>();
  const distinctIds = [...new Set(ids)];
  for (let start = 0; start < distinctIds.length; start += pieceBatchSize) {
    const batch = distinctIds.slice(start, start + pieceBatchSize);
    const found = await Promise.all(batch.map((id) => tokenizer.detokenize([id])));
    for (const [index, id] of batch.entries()) {
      const bytes = found[index] ?? Buffer.alloc(0);
      pieces.set(id, isUtf8(bytes) ? bytes.toString() : [...bytes]);
    }
  }
  return pieces;
}

const errors = [...bodyErrors, ...modelErrors, 'bad_request'] as const;

const tokenizeDoc: RouteDoc = {
  operationId: 'tokenize',
  tag: 'Tokens',
  summary: 'Convert a text to tokens',
  body: {
    name: 'TokenizeRequest',
    schema: TokenizeRequest,
    example: { content: 'Hello there', with_pieces: true },
  },
  reply: {
    name: 'Tokens',
    schema: Tokens,
    example: {
      tokens: [
        { id: 318, piece: 'Hello' },
        { id: 274, piece: ' there' },
      ],
    },
  },
  errors,
};

const detokenizeDoc: RouteDoc = {
  operationId: 'detokenize',
  tag: 'Tokens',
  summary: 'Convert tokens to a text',
  body: { name: 'DetokenizeRequest', schema: DetokenizeRequest, example: { tokens: [318, 274] } },
  reply: { name: 'Content', schema: Content, example: { content: 'Hello there' } },
  errors,
};
