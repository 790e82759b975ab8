import { GatewayError } from '../../core/errors.ts';
import type { Embedder } from '../../engine/embedder.ts';
import type { ServedModel } from '../../model/registry.ts';
import { checkBodyFields } from '../fields/body-fields.ts';
import { missing, unsupported } from '../fields/request-errors.ts';
import { type BodyRequest, RequestProblems } from '../fields/request-problems.ts';
import { chooseModel, type ModelChoice, requireRanker } from '../fields/served-model.ts';
import { type RequestDocument, RerankRequest } from './rerank-shapes.ts';
import type { Cut, RequestText } from './shorten.ts';

/** A request for a ranking whose body is validated and normalised. */
export interface ParsedRanking {
  readonly query: string;
  readonly documents: readonly RequestText[];
  /** Maximum results; undefined: all. */
  readonly topCount: number | undefined;
  readonly returnsTexts: boolean;
  /** The values of the head itself. */
  readonly rawScores: boolean;
  /** Reply with an array, in TEI's form. */
  readonly isTei: boolean;
  readonly cut: Cut;
}

/** Fields of Jina's and Cohere's APIs that would change scores and are not honoured. */
const refusedFields = ['max_chunks_per_doc', 'overlap_tokens', 'rank_fields'];

/**
 * Chooses the model and reads the body.
 * @throws {GatewayError} what `chooseModel` and `requireRanker` throw; `unsupported_parameter`, `invalid_value`,
 *   `missing_required_parameter`
 */
export function readRanking(
  request: BodyRequest<RerankRequest>,
  choice: ModelChoice,
): { readonly parsed: ParsedRanking; readonly model: ServedModel; readonly ranker: Embedder } {
  const problems = new RequestProblems(request.validationError);
  const body = problems.soundFields(request.body);
  checkBodyFields(request, RerankRequest.properties, problems);
  for (const name of refusedFields) {
    if ((body as Record<string, unknown>)[name] == null || problems.concerns(name)) continue;
    problems.add(unsupported(name, 'leave it out and shorten the documents'));
  }
  const model = problems.essential(() => chooseModel(choice, body.model));
  const ranker = problems.essential(() => requireRanker(model));
  const documents = problems.read(['documents', 'texts'], [], () => readDocuments(body));
  problems.throwIfAny();
  const topCount = body.top_n ?? body.top_k ?? 0;
  const parsed = {
    query: body.query,
    documents,
    topCount: topCount > 0 ? topCount : undefined,
    returnsTexts: body.return_documents ?? body.return_text ?? false,
    rawScores: body.raw_scores ?? false,
    isTei: body.documents == null,
    cut: readCut(body),
  };
  return { parsed, model, ranker };
}

/** What the body says about documents that are too long. */
export function readCut(body: RerankRequest): Cut {
  const { truncate, truncate_prompt_tokens: tokens } = body;
  const isWanted = truncate === true || body.truncation === true || tokens != null;
  const isLeft = truncate === 'START' || body.truncation_direction?.toLowerCase() === 'left';
  return {
    ...(body.max_tokens_per_doc != null && { textTokens: body.max_tokens_per_doc }),
    ...((isWanted || truncate === 'START' || truncate === 'END') && {
      pairTokens: tokens != null && tokens > 0 ? tokens : Number.POSITIVE_INFINITY,
    }),
    from: isLeft ? 'start' : 'end',
  };
}

function readDocuments({ documents, texts }: RerankRequest): RequestText[] {
  if (documents != null && texts != null) {
    throw new GatewayError('invalid_value', {
      param: 'texts',
      message: '`texts` and `documents` are two names of the same field: send one of them.',
    });
  }
  if (texts != null) return withPaths(texts, 'texts');
  if (documents == null) throw missing('documents');
  return withPaths(documents, 'documents');
}

function withPaths(documents: readonly RequestDocument[], name: string): RequestText[] {
  return documents.map((document, index) => ({
    path: `${name}[${index}]`,
    text: typeof document === 'string' ? document : document.text,
  }));
}
