import { isUtf8 } from 'node:buffer';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { GatewayError } from '../../core/errors.ts';
import { bodyErrors, modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { Engine } from '../../engine/engine.ts';
import { missing } from '../fields/request-errors.ts';
import type { BodyRequest } from '../fields/request-problems.ts';
import { chooseModel, type ModelChoice } from '../fields/served-model.ts';
import { piecesOf } from '../fields/token-pieces.ts';
import { preparePrompt } from '../generation/prompt.ts';
import { readChat } from './chat-request.ts';
import type { ChatCompletionRequest } from './chat-shapes.ts';
import { AnyTokens, type CountedTokens, TokenizeRequest, type Tokens } from './tokenize-shapes.ts';

/** `POST /tokenize` in the forms of llama-server (`content`) and of vLLM (`prompt` or `messages`). */
export const tokenize: FastifyPluginAsyncTypebox<ModelChoice> = async (app, choice) => {
  const route = { schema: { body: TokenizeRequest }, attachValidation: true, config: { doc } };
  app.post('/tokenize', route, async (request): Promise<Tokens | CountedTokens> => {
    const { body } = request;
    if (request.validationError !== undefined && !isChat(body)) throw request.validationError;
    requireOneForm(body);
    if (isChat(body)) {
      // Its messages are there, and the other fields are those of a chat.
      const { parsed, model } = await readChat(
        request as BodyRequest<ChatCompletionRequest>,
        choice,
      );
      const prompt = await preparePrompt(model.engine, parsed.prompts[0]);
      return counted(model.engine.generator.promptTokens(prompt), body, model.engine);
    }
    const { engine } = choice.models.require();
    if (body.prompt != null) {
      chooseModel(choice, body.model);
      const addSpecial = body.add_special_tokens ?? body.add_special ?? true;
      const ids = await tokensOf(body.prompt, addSpecial, body, engine);
      return counted(ids, body, engine);
    }
    const addSpecial = body.add_special ?? body.add_special_tokens ?? false;
    const ids = await tokensOf(body.content ?? '', addSpecial, body, engine);
    if (body.with_pieces !== true) return { tokens: [...ids] };
    const pieces = await piecesOf(ids, { tokenizer: engine.tokenizer, param: 'with_pieces' });
    return {
      tokens: pieces.map((bytes, index) => ({
        id: ids[index] ?? 0,
        piece: isUtf8(bytes) ? bytes.toString() : [...bytes],
      })),
    };
  });
};

/** The body may be anything while it is not validated. */
function isChat(body: TokenizeRequest | null): boolean {
  return body?.messages != null;
}

function requireOneForm({ content, prompt, messages }: TokenizeRequest): void {
  const sent = Object.entries({ content, prompt, messages }).flatMap(([name, value]) =>
    value == null ? [] : [name],
  );
  const [first, second] = sent;
  if (first === undefined) throw missing('content');
  if (second === undefined) return;
  throw new GatewayError('invalid_value', {
    param: second,
    message: `\`${first}\` and \`${second}\` cannot be sent together: a request has one text.`,
  });
}

function tokensOf(
  text: string,
  addSpecial: boolean,
  { parse_special: parseSpecial }: TokenizeRequest,
  { tokenizer }: Engine,
): Promise<readonly number[]> {
  return tokenizer.tokenize(text, { addSpecial, parseSpecial: parseSpecial ?? true });
}

async function counted(
  ids: readonly number[],
  { return_token_strs: withTexts }: TokenizeRequest,
  { info, tokenizer }: Engine,
): Promise<CountedTokens> {
  const pieces =
    withTexts === true && (await piecesOf(ids, { tokenizer, param: 'return_token_strs' }));
  return {
    count: ids.length,
    max_model_len: info.contextLength,
    tokens: [...ids],
    token_strs: pieces === false ? null : pieces.map((bytes) => bytes.toString()),
  };
}

const doc: RouteDoc = {
  operationId: 'tokenize',
  tag: 'Tokens',
  summary: 'Convert a text, or the prompt of a chat, to tokens',
  body: {
    name: 'TokenizeRequest',
    schema: TokenizeRequest,
    example: { content: 'Hello there', with_pieces: true },
  },
  reply: {
    name: 'Tokens',
    schema: AnyTokens,
    example: {
      tokens: [
        { id: 318, piece: 'Hello' },
        { id: 274, piece: ' there' },
      ],
    },
  },
  errors: [
    ...bodyErrors,
    ...modelErrors,
    'bad_request',
    'unsupported_parameter',
    'unsupported_model',
    'model_not_found',
  ],
};
