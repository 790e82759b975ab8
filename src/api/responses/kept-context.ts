/** What a request continues of what the server keeps for its key. */
import { GatewayError } from '../../core/errors.ts';
import type { InputItem, ResponseRequest } from './response-shapes.ts';
import type { ResponseStore } from './response-store.ts';

export interface KeptContext {
  /** The items of the conversation before the request, the oldest first. */
  readonly conversation: readonly InputItem[];
  /** The items that the request names by their ids alone. */
  readonly referenced: ReadonlyMap<string, InputItem>;
}

/**
 * @param body - whose schema is not checked yet: what has another type is refused with the body
 * @throws {GatewayError} `previous_response_not_found`, also for another key's response
 */
export async function keptContext(
  body: ResponseRequest | null,
  store: ResponseStore,
  keyId: string,
): Promise<KeptContext> {
  const items: readonly unknown[] = Array.isArray(body?.input) ? body.input : [];
  const ids = items.map(referenceOf).filter((id) => id !== undefined);
  return {
    conversation: await conversationBefore(body, store, keyId),
    referenced: await store.items(keyId, new Set(ids)),
  };
}

async function conversationBefore(
  body: ResponseRequest | null,
  store: ResponseStore,
  keyId: string,
): Promise<readonly InputItem[]> {
  const id = body?.previous_response_id;
  if (typeof id !== 'string' || id === '') return [];
  const items = await store.conversation(keyId, id);
  if (items !== undefined) return items;
  throw new GatewayError('previous_response_not_found', {
    param: 'previous_response_id',
    message: `Previous response with id ${JSON.stringify(id.slice(0, 100))} not found.`,
  });
}

/**
 * The items of an input; a text is a message of the user.
 * @param referenced - replaces references; one that it does not have stays
 */
export function itemsOf(
  input: ResponseRequest['input'],
  referenced: KeptContext['referenced'],
): readonly InputItem[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  return (input ?? []).map((item) => referenced.get(referenceOf(item) ?? '') ?? item);
}

/** The id that an item consists of; undefined for an item with more than that. */
export function referenceOf(item: unknown): string | undefined {
  const { type, role, id } = (item ?? {}) as { readonly [key: string]: unknown };
  const isReference = type === 'item_reference' || (type == null && role == null);
  return isReference && typeof id === 'string' ? id : undefined;
}
