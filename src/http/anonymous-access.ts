/** Stands in for authentication where it is off: every client may do everything. */
import fp from 'fastify-plugin';
import { anonymous } from '../access/keys/caller.ts';
import { accessOf } from './access.ts';

export const anonymousAccess = fp(async (app) => {
  app.decorateRequest('caller');
  app.addHook('onRequest', async (request) => {
    if (accessOf(request) !== 'open') request.caller = anonymous;
  });
});
