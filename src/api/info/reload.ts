import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { KeyLoadError, type KeySource } from '../../access/keys/key-source.ts';
import { GatewayError } from '../../core/errors.ts';
import type { RouteDoc } from '../../core/route-doc.ts';
import { Reload } from './reload-shapes.ts';
import { requireThisMachine } from './this-machine.ts';

/**
 * `POST /reload`: reads the key file again, for keys with the scope `admin`. Without authentication only this machine
 * may request it, and there is nothing to read. Answers before a body is parsed.
 */
export const reload: FastifyPluginAsyncTypebox<{ readonly keys: KeySource | undefined }> = async (
  app,
  { keys },
) => {
  app.post(
    '/reload',
    {
      config: { access: 'admin', doc },
      onRequest: async (request, reply) => reply.send(await reloadKeys(keys, request)),
    },
    async () => {
      throw new Error('answered in onRequest');
    },
  );
};

const doc: RouteDoc = {
  operationId: 'reloadKeys',
  tag: 'Server',
  summary: 'Reload the key file',
  description:
    'Requires a key with the scope `admin`; while authentication is off, a client on this machine.',
  reply: { name: 'Reload', schema: Reload },
  errors: ['insufficient_scope', 'reload_failed'],
};

async function reloadKeys(keys: KeySource | undefined, { ip }: FastifyRequest): Promise<Reload> {
  if (keys === undefined) {
    requireThisMachine(ip, 'a reload');
    return { status: 'ok', keys_loaded: 0 };
  }
  try {
    const { keyCount, skipped } = await keys.load();
    return {
      status: 'ok',
      keys_loaded: keyCount,
      ...(skipped.length > 0 && { skipped: [...skipped] }),
    };
  } catch (error) {
    if (!(error instanceof KeyLoadError)) throw error;
    throw new GatewayError('reload_failed', {
      message: `The keys were not reloaded: ${error.message}.`,
      cause: error,
    });
  }
}
