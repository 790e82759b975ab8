import type { FastifyRequest } from 'fastify';
import { anonymous, type Caller } from '../../access/keys/caller.ts';
import type { Priority } from '../../admission/fair-queue.ts';

/** The share of the engine a request is charged to: its API key's, or its address's without authentication. */
export function fairShareKeyOf({ caller, ip }: FastifyRequest): string {
  return caller === undefined || caller === anonymous ? ip : caller.keyId;
}

/** The priority of the key overrides the priority the request asks for. */
export function priorityOf(caller: Caller | undefined, requested: Priority): Priority {
  return caller?.priority ?? requested;
}
