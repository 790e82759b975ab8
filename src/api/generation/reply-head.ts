import { createHash, randomUUID } from 'node:crypto';
import { type Static, Type } from 'typebox';
import type { ServedModel } from '../../model/registry.ts';
import type { ServiceTier } from '../fields/generation-fields.ts';
import type { CompletionFinishReason } from './choice.ts';

/** The equal fields of all objects of one reply, as properties of a schema. */
export const replyHeadFields = {
  id: Type.String(),
  created: Type.Integer(),
  model: Type.String(),
  system_fingerprint: Type.String(),
  /** Only if the request has one. */
  service_tier: Type.Optional(Type.Enum(['default', 'flex'])),
};

const ReplyHead = Type.Object(replyHeadFields);
export type ReplyHead = Readonly<Static<typeof ReplyHead>>;

/**
 * A new head. Its `system_fingerprint` changes with the model, the backend and the version of this program.
 * @param idPrefix - of the kind of reply
 */
export function newReplyHead(
  idPrefix: 'chatcmpl' | 'cmpl',
  { card, engine }: ServedModel,
  version: string,
  serviceTier?: ServiceTier,
): ReplyHead {
  const build = [version, engine.info.backend, card.id, card.sizeBytes].join('\n');
  return {
    id: `${idPrefix}-${randomUUID().replaceAll('-', '')}`,
    created: Math.floor(Date.now() / 1000),
    model: card.id,
    system_fingerprint: `fp_${createHash('sha256').update(build).digest('hex').slice(0, 10)}`,
    ...(serviceTier && { service_tier: serviceTier }),
  };
}

/** OpenAI's words for the end of a choice. */
export const wireFinishReasons = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
} as const satisfies Record<CompletionFinishReason, string>;
