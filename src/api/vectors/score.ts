import { randomUUID } from 'node:crypto';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError } from '../../core/errors.ts';
import { inputErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { PreparedInputs } from '../../engine/embedder.ts';
import type { ServedModel } from '../../model/registry.ts';
import { checkBodyFields } from '../fields/body-fields.ts';
import { missing } from '../fields/request-errors.ts';
import { type BodyRequest, RequestProblems } from '../fields/request-problems.ts';
import { chooseModel, type ModelChoice } from '../fields/served-model.ts';
import { maxInputCount, toInputUsage } from './embedding-shapes.ts';
import { type InputDeps, metered, prepared, replyWithInputs } from './input-work.ts';
import { ScoreList, ScoreRequest } from './score-shapes.ts';
import type { RequestText } from './shorten.ts';

/** The names of each side, the first is vLLM's own. */
const sideNames = [
  ['text_1', 'queries', 'data_1'],
  ['text_2', 'documents', 'items', 'data_2'],
] as const;

/** Two texts to compare. */
interface Pair {
  readonly left: RequestText;
  readonly right: RequestText;
}

/** vLLM's `POST /score`: how well texts go together, by a model that ranks or by the cosine of their vectors. */
export const score: FastifyPluginAsyncTypebox<InputDeps> = async (app, deps) => {
  const route = { schema: { body: ScoreRequest }, attachValidation: true, config: { doc } };
  app.post('/v1/score', route, (request, reply) => scorePairs(request, reply, deps));
};

async function scorePairs(
  request: FastifyRequest<{ Body: ScoreRequest }>,
  reply: FastifyReply,
  deps: InputDeps,
): Promise<ScoreList | FastifyReply> {
  const { pairs, model } = readScore(request, deps);
  const isRanker = model.engine.info.embedding.pooling === 'rank';
  return replyWithInputs(request, reply, deps, async (signal) => {
    const { scores, tokenCounts } = await (isRanker ? ranked : compared)(
      { request, model, signal },
      pairs,
    );
    return {
      id: `score-${randomUUID().replaceAll('-', '')}`,
      object: 'list' as const,
      created: Math.floor(Date.now() / 1000),
      model: model.card.id,
      data: scores.map((value, index) => ({ index, object: 'score' as const, score: value })),
      usage: toInputUsage(tokenCounts),
    };
  });
}

/**
 * Chooses the model and reads the pairs.
 * @throws {GatewayError} what `chooseModel` throws; `invalid_value`, `missing_required_parameter`
 */
function readScore(
  request: BodyRequest<ScoreRequest>,
  choice: ModelChoice,
): { readonly pairs: readonly Pair[]; readonly model: ServedModel } {
  const problems = new RequestProblems(request.validationError);
  const body = problems.soundFields(request.body);
  checkBodyFields(request, ScoreRequest.properties, problems);
  const model = problems.essential(() => chooseModel(choice, body.model));
  const [lefts, rights] = sideNames.map((names) =>
    problems.read(names, [], () => readSide(body, names)),
  );
  const pairs = problems.attempt([], () => pairsOf(lefts ?? [], rights ?? []));
  problems.throwIfAny();
  return { pairs, model };
}

function readSide(body: ScoreRequest, names: (typeof sideNames)[number]): RequestText[] {
  const [name, second] = names.filter((each) => body[each] != null);
  if (name === undefined) throw missing(names[0]);
  if (second !== undefined) {
    throw new GatewayError('invalid_value', {
      param: second,
      message: `\`${second}\` and \`${name}\` are two names of the same field: send one of them.`,
    });
  }
  const texts = body[name] ?? [];
  if (typeof texts === 'string') return [{ path: name, text: texts }];
  return texts.map((text, index) => ({ path: `${name}[${index}]`, text }));
}

/** One text goes with each of the other side; else the sides are as long as each other. */
function pairsOf(lefts: readonly RequestText[], rights: readonly RequestText[]): Pair[] {
  if (lefts.length > 1 && rights.length > 1 && lefts.length !== rights.length) {
    throw new GatewayError('invalid_value', {
      param: sideNames[1][0],
      message: `Both sides must have as many texts, or one side a single one; received ${lefts.length} and ${rights.length}.`,
    });
  }
  const count = Math.min(maxInputCount, Math.max(lefts.length, rights.length));
  const at = (side: readonly RequestText[], index: number) => side[side.length === 1 ? 0 : index];
  return Array.from({ length: count }, (_, index) => [at(lefts, index), at(rights, index)]).flatMap(
    ([left, right]) => (left === undefined || right === undefined ? [] : [{ left, right }]),
  );
}

interface ScoreContext {
  readonly request: FastifyRequest;
  readonly model: ServedModel;
  readonly signal: AbortSignal;
}

interface Scores {
  readonly scores: readonly number[];
  readonly tokenCounts: Int32Array;
}

/** By a classification head. Pairs of one query are prepared together. */
async function ranked(
  { request, model, signal }: ScoreContext,
  pairs: readonly Pair[],
): Promise<Scores> {
  const { embedder, info } = model.engine;
  const { contextLength } = info.embedding;
  const groups = groupsOf(pairs);
  const inputs: PreparedInputs[] = [];
  for (const { query, members } of groups) {
    const texts = members.map((index) => pairs[index]?.right.text ?? '');
    const pathOf = (at: number) => pairs[members[at] ?? 0]?.right.path ?? 'text_2';
    inputs.push(await prepared(embedder.prepareRanking(query, texts), { contextLength, pathOf }));
  }
  const tokenCounts = Int32Array.from(inputs.flatMap((each) => [...each.tokenCounts]));
  const results = await metered(request, { tokenCounts }, () =>
    Promise.all(inputs.map((each) => embedder.rank(each, {}, signal))),
  );
  const scores: number[] = [];
  for (const [group, { members }] of groups.entries()) {
    for (const [at, index] of members.entries()) scores[index] = results[group]?.[at] ?? 0;
  }
  return { scores, tokenCounts };
}

/** The pairs of each query, by their indices. */
function groupsOf(pairs: readonly Pair[]): { query: string; members: number[] }[] {
  const membersOf = new Map<string, number[]>();
  for (const [index, { left }] of pairs.entries()) {
    const members = membersOf.get(left.text) ?? [];
    members.push(index);
    membersOf.set(left.text, members);
  }
  return [...membersOf].map(([query, members]) => ({ query, members }));
}

/** By vectors of norm 1, whose product is their cosine. Each text is computed once. */
async function compared(
  { request, model, signal }: ScoreContext,
  pairs: readonly Pair[],
): Promise<Scores> {
  const { embedder, info } = model.engine;
  const { contextLength } = info.embedding;
  const all = pairs.flatMap(({ left, right }) => [left, right]);
  const texts = [...new Map(all.map((each) => [each.text, each])).values()];
  const pathOf = (index: number) => texts[index]?.path ?? 'text_1';
  const preparing = embedder.prepareInputs(texts.map(({ text }) => text));
  const inputs = await prepared(preparing, { contextLength, pathOf });
  const vectors = await metered(request, inputs, () => embedder.embed(inputs, undefined, signal));
  const vectorOf = new Map(texts.map(({ text }, index) => [text, vectors[index]]));
  const scores = pairs.map(({ left, right }) =>
    product(vectorOf.get(left.text), vectorOf.get(right.text)),
  );
  return { scores, tokenCounts: inputs.tokenCounts };
}

function product(left: Float32Array | undefined, right: Float32Array | undefined): number {
  return left?.reduce((sum, value, index) => sum + value * (right?.[index] ?? 0), 0) ?? 0;
}

const doc: RouteDoc = {
  operationId: 'createScore',
  tag: 'Embeddings',
  summary: 'Score pairs of texts',
  body: {
    name: 'ScoreRequest',
    schema: ScoreRequest,
    example: { text_1: 'a colour', text_2: ['red', 'a dog'] },
  },
  reply: { name: 'ScoreList', schema: ScoreList },
  errors: inputErrors,
};
