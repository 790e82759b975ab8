import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { UsageLedger } from '../../access/usage/usage-recorder.ts';
import type { RouteDoc } from '../../core/route-doc.ts';
import { requireThisMachine } from './this-machine.ts';
import { exampleUsageList, readUsageQuery, toUsageList, UsageList } from './usage-list.ts';

/** What the route needs. */
export interface UsageRouteDeps {
  /** Undefined if usage is not recorded; the list is then empty. */
  readonly ledger: UsageLedger | undefined;
  readonly authenticationEnabled: boolean;
}

/**
 * `GET /admin/usage`: usage by day and key, for keys with the scope `admin`. Without authentication only this machine
 * may request it.
 */
export const usage: FastifyPluginAsyncTypebox<UsageRouteDeps> = async (
  app,
  { ledger, authenticationEnabled },
) => {
  app.get(
    '/admin/usage',
    { config: { access: 'admin', doc } },
    async ({ ip, query }): Promise<UsageList> => {
      if (!authenticationEnabled) requireThisMachine(ip, 'the usage');
      const filter = readUsageQuery(query as Readonly<Record<string, unknown>>);
      return toUsageList((await ledger?.readAll()) ?? [], filter);
    },
  );
};

const doc: RouteDoc = {
  operationId: 'getUsage',
  tag: 'Server',
  summary: 'Get the usage of each API key on each day (UTC)',
  description:
    'Covers all servers that share the data folder. Requires a key with the scope `admin`; while authentication is off, a client on this machine.',
  queryParameters: {
    day: {
      description: 'One day, such as 2026-11-24; excludes `from` and `to`.',
      format: 'date',
    },
    from: { description: 'The first day.', format: 'date' },
    to: { description: 'The last day.', format: 'date' },
    key_id: { description: 'One key.', pattern: '^[A-Za-z0-9_-]{1,64}$' },
  },
  reply: { name: 'UsageList', schema: UsageList, example: exampleUsageList },
  errors: ['invalid_value', 'insufficient_scope'],
};
