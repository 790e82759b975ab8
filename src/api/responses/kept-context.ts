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

/** References of one request; each may be in another file. */
const maxReferences = 1000;

/**
 * @param body - whose schema is not checked yet: what has another type is refused with the body
 * @param maxBytes - of what is continued
 * @throws {GatewayError} what {@link ResponseStore.conversation} throws; `invalid_value` for too many references
 */
export async function keptContext(
  body: ResponseRequest | null,
  store: ResponseStore,
  { keyId, maxBytes }: { readonly keyId: string; readonly maxBytes: number },
): Promise<KeptContext> {
  const items: readonly unknown[] = Array.isArray(body?.input) ? body.input : [];
  const ids = items.map(referenceOf).filter((id) => id !== undefined);
  if (ids.length > maxReferences) {
    throw new GatewayError('invalid_value', {
      param: 'input',
      message: `\`input\` must have at most ${maxReferences} references to items, received ${ids.length}.`,
    });
  }
  const previous = body?.previous_response_id;
  const hasPrevious = typeof previous === 'string' && previous !== '';
  const referenced = await store.items(keyId, new Set(ids), maxBytes / Math.max(1, repeatsOf(ids)));
  return {
    conversation: hasPrevious ? await store.conversation(keyId, previous, maxBytes) : [],
    referenced,
  };
}

/** How often the most frequent one occurs. */
function repeatsOf(ids: readonly string[]): number {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return Math.max(0, ...counts.values());
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
