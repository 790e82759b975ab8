import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import { modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import { Props, Slots, toProps, toSlots } from './props-shapes.ts';

/** What the routes need. */
export interface PropsOptions {
  readonly models: ModelRegistry;
  /** Of this program. */
  readonly version: string;
}

/** llama-server's `GET /props` and `GET /slots`; 503 until the model is ready. */
export const props: FastifyPluginAsyncTypebox<PropsOptions> = async (app, { models, version }) => {
  app.get(
    '/props',
    { config: { doc: propsDoc } },
    async (): Promise<Props> => toProps(models.require(), version),
  );

  app.get(
    '/slots',
    {
      schema: { querystring: Type.Object({ fail_on_no_slot: Type.Optional(Type.String()) }) },
      config: { doc: slotsDoc },
    },
    async (request): Promise<Slots> => {
      const slots = toSlots(models.require());
      const wantsSlot = (request.query.fail_on_no_slot ?? '') !== '';
      if (wantsSlot && slots.every((slot) => slot.is_processing)) {
        throw new GatewayError('queue_full', { message: 'Every slot is busy.' });
      }
      return slots;
    },
  );
};

const propsDoc: RouteDoc = {
  operationId: 'getProps',
  tag: 'Server',
  summary: 'Get the properties of the server, in the form of llama-server',
  reply: { name: 'Props', schema: Props },
  errors: modelErrors,
};

const slotsDoc: RouteDoc = {
  operationId: 'getSlots',
  tag: 'Server',
  summary: 'Get the state of the slots, in the form of llama-server',
  queryParameters: {
    fail_on_no_slot: { description: 'Any value: 503 if every slot is busy.' },
  },
  reply: { name: 'Slots', schema: Slots },
  errors: [...modelErrors, 'queue_full'],
};
