import { checkBodyFields } from './body-fields.ts';
import { type BodyRequest, RequestProblems } from './request-problems.ts';
import { chooseTextModel, type ModelChoice, type TextModel } from './served-model.ts';

/** A request for text whose fields are known, before they are read. */
export interface BegunRequest<Body> {
  readonly problems: RequestProblems;
  /** Without the fields whose types are wrong. */
  readonly body: Body;
  readonly model: TextModel;
}

/**
 * Looks at the names and types of all fields, and chooses the model.
 * @param honoured - the properties of the endpoint's schema
 * @throws {GatewayError} what `chooseTextModel` throws; the problems that are known
 */
export function beginRequest<Body extends { readonly model?: string | null | undefined }>(
  request: BodyRequest<Body>,
  choice: ModelChoice,
  honoured: object,
): BegunRequest<Body> {
  const problems = new RequestProblems(request.validationError);
  const body = problems.soundFields(request.body);
  checkBodyFields(request, honoured, problems);
  return { problems, body, model: problems.essential(() => chooseTextModel(choice, body.model)) };
}
