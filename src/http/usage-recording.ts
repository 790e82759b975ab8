/** Gives each request the recorder of its key's usage. */
import fp from 'fastify-plugin';
import {
  KeyRecorder,
  type UsageLedger,
  type UsageRecorder,
} from '../access/usage/usage-recorder.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Records what the request uses; undefined where nothing is recorded. */
    recorder: UsageRecorder | undefined;
  }
}

export interface UsageRecordingOptions {
  /** Undefined: nothing is recorded. */
  readonly ledger: UsageLedger | undefined;
}

/** Registered after authentication. */
export const usageRecording = fp<UsageRecordingOptions>(async (app, { ledger }) => {
  app.decorateRequest('recorder');
  if (ledger === undefined) return;
  app.addHook('onRequest', async (request) => {
    if (request.caller === undefined) return;
    request.recorder = new KeyRecorder(ledger, request.caller.keyId);
  });
});
