/**
 * Fields within `extra_body`: OpenAI's client for Python puts them into the body, the one for JavaScript sends them as
 * they are.
 */
import fp from 'fastify-plugin';

export const extraBody = fp(async (app) => {
  app.addHook('preValidation', async (request) => {
    const { body } = request;
    if (!isObject(body) || !isObject(body.extra_body)) return;
    const { extra_body: extra, ...fields } = body;
    request.body = { ...fields, ...(extra as object) };
  });
});

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
