import type { Embedder } from '../../engine/embedder.ts';
import type { ServedModel } from '../../model/registry.ts';
import { checkBodyFields } from '../fields/body-fields.ts';
import { unsupported } from '../fields/request-errors.ts';
import { type BodyRequest, RequestProblems } from '../fields/request-problems.ts';
import { chooseModel, type ModelChoice, requireRanker } from '../fields/served-model.ts';
import { RerankRequest } from './rerank-shapes.ts';

/** Fields of Jina's and Cohere's APIs that would change scores and are not honoured. */
const refusedFields = [
  'max_chunks_per_doc',
  'max_tokens_per_doc',
  'overlap_tokens',
  'rank_fields',
  'truncate',
  'truncate_prompt_tokens',
  'truncation',
];

/**
 * Chooses the model and reads the texts of the documents.
 * @throws {GatewayError} what `chooseModel` and `requireRanker` throw; `unsupported_parameter`, `invalid_value`,
 *   `missing_required_parameter`
 */
export function readRanking(
  request: BodyRequest<RerankRequest>,
  choice: ModelChoice,
): { readonly documents: string[]; readonly model: ServedModel; readonly ranker: Embedder } {
  const problems = new RequestProblems(request.validationError);
  const body = problems.soundFields(request.body);
  checkBodyFields(request, RerankRequest.properties, problems);
  for (const name of refusedFields) {
    if ((body as Record<string, unknown>)[name] == null || problems.concerns(name)) continue;
    problems.add(unsupported(name, 'leave it out and shorten the documents'));
  }
  const model = problems.essential(() => chooseModel(choice, body.model));
  const ranker = problems.essential(() => requireRanker(model));
  problems.throwIfAny();
  const documents = body.documents.map((document) =>
    typeof document === 'string' ? document : document.text,
  );
  return { documents, model, ranker };
}
