/** The access that a route requires, and the owner of a request's key. */
import type { FastifyRequest } from 'fastify';
import type { Scope } from '../access/keys/api-key.ts';
import type { Caller } from '../access/keys/caller.ts';

/** Every client, every valid key, or the keys with a scope. */
export type Access = 'open' | 'key' | Scope;

declare module 'fastify' {
  interface FastifyRequest {
    /** The owner of the request's key; undefined on open routes. */
    caller: Caller | undefined;
  }
  interface FastifyContextConfig {
    /** A route without it requires the scope `inference`. */
    access?: Access;
  }
}

/** An unknown path requires a key too, so that only clients with a key can find out which paths exist. */
export function accessOf(request: FastifyRequest): Access {
  return request.is404 ? 'key' : (request.routeOptions.config.access ?? 'inference');
}
