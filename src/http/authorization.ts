/** Refuses what the scopes and the models of a key do not include. */
import fp from 'fastify-plugin';
import type { Scope } from '../access/keys/api-key.ts';
import type { Caller } from '../access/keys/caller.ts';
import { GatewayError } from '../core/errors.ts';
import type { ModelRegistry } from '../model/registry.ts';
import { accessOf } from './access.ts';

export interface AuthorizationOptions {
  readonly models: ModelRegistry;
}

/** Registered after authentication. */
export const authorization = fp<AuthorizationOptions>(async (app, { models }) => {
  app.addHook('onRequest', async (request) => {
    const access = accessOf(request);
    if (request.caller === undefined || access === 'open' || access === 'key') return;
    requireScope(request.caller, access);
    if (access === 'inference') requireModel(request.caller, models);
  });
});

function requireScope({ scopes }: Caller, scope: Scope): void {
  if (scopes.includes(scope)) return;
  throw new GatewayError('insufficient_scope', {
    message: `The API key lacks the scope \`${scope}\`, which this request requires.`,
  });
}

/** The served model answers every request, whatever its `model` field says. */
function requireModel({ models: allowed }: Caller, { current }: ModelRegistry): void {
  if (allowed === undefined || current === undefined || allowed.includes(current.card.id)) return;
  throw new GatewayError('model_not_allowed', {
    param: 'model',
    message: 'The API key may not use the model of this server.',
  });
}
