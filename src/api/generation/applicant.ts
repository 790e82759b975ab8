import type { FastifyRequest } from 'fastify';
import { anybody, type Caller } from '../../access/keys/caller.ts';
import type { Priority } from '../../admission/fair-queue.ts';

/** Who a request's share of the engine belongs to: its key, or its address where nobody has one. */
export function shareholder({ caller, ip }: FastifyRequest): string {
  return caller === undefined || caller === anybody ? ip : caller.keyId;
}

/** What the key says goes before what the request asks for. */
export function priorityOf(caller: Caller | undefined, asked: Priority): Priority {
  return caller?.priority ?? asked;
}
