import { Counter, type Registry } from 'prom-client';
import { isSuccess, type RequestRecord } from '../trace/request-trace.ts';

/** Maximum number of keys with series of their own; all others share {@link otherKeys}. */
const keyLimit = 100;
/** Not a valid key id. */
const otherKeys = '(other)';

/** Series of single API keys, rendered only for readers who may know the keys' ids. */
export class KeyMetrics {
  readonly #requests;
  readonly #tokens;
  readonly #known = new Set<string>();

  constructor(registry: Registry) {
    this.#requests = new Counter({
      name: 'gateway_key_requests_total',
      help: 'Requests of an API key: `success`, `failed` or `cancelled`. Only where /metrics itself requires a key; the first 100 keys have series of their own, all others share `(other)`.',
      labelNames: ['key_id', 'outcome'],
      registers: [registry],
    });
    this.#tokens = new Counter({
      name: 'gateway_key_tokens_total',
      help: 'Tokens of an API key: `prompt` (includes cached ones), `cached` or `completion`. Shown like the requests.',
      labelNames: ['key_id', 'kind'],
      registers: [registry],
    });
  }

  observe(record: RequestRecord): void {
    const { keyId, generation, inputTokenCount, status } = record;
    if (keyId === undefined) return;
    const key_id = this.#labelOf(keyId);
    const cancelled = status === 499 ? 'cancelled' : 'failed';
    this.#requests.inc({ key_id, outcome: isSuccess(record) ? 'success' : cancelled });
    if (inputTokenCount !== undefined)
      this.#tokens.inc({ key_id, kind: 'prompt' }, inputTokenCount);
    if (generation === undefined) return;
    this.#tokens.inc({ key_id, kind: 'prompt' }, generation.promptTokenCount);
    this.#tokens.inc({ key_id, kind: 'cached' }, generation.cachedTokenCount);
    this.#tokens.inc({ key_id, kind: 'completion' }, generation.completionTokenCount);
  }

  #labelOf(keyId: string): string {
    if (this.#known.has(keyId)) return keyId;
    if (this.#known.size >= keyLimit) return otherKeys;
    this.#known.add(keyId);
    return keyId;
  }
}
