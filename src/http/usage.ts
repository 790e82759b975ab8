import type { FastifyInstance } from 'fastify';
import {
  KeyRecorder,
  type UsageLedger,
  type UsageRecorder,
} from '../access/usage/usage-recorder.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Takes down what it uses; undefined where nothing is recorded. */
    recorder: UsageRecorder | undefined;
  }
}

/** Records what each key uses. Comes after authentication. */
export function addUsage(app: FastifyInstance, ledger: UsageLedger | undefined): void {
  app.decorateRequest('recorder');
  if (ledger === undefined) return;
  app.addHook('onRequest', async (request) => {
    if (request.caller === undefined) return;
    request.recorder = new KeyRecorder(ledger, request.caller.keyId);
  });
}
