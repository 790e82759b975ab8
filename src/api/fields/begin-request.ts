import { checkBodyFields } from './body-fields.ts';
import { type BodyRequest, RequestProblems } from './request-problems.ts';
import { chooseTextModel, type ModelChoice, type TextModel } from './served-model.ts';

/** A request for text whose fields are known, before they are read. */
export interface BegunRequest<Body> {
  readonly problems: RequestProblems;
  /** Without unknown fields, and without those whose types are wrong. */
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
  checkBodyFields(request, honoured, problems);
  // A field of another endpoint was not validated, and is ignored.
  const known = Object.entries(request.body).filter(([name]) => Object.hasOwn(honoured, name));
  const body = problems.soundFields(Object.fromEntries(known) as Body);
  return { problems, body, model: problems.essential(() => chooseTextModel(choice, body.model)) };
}
