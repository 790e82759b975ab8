import type { Config } from '../config/config.ts';
import { wireCodeOf } from '../core/errors.ts';
import type { LogDestination, Logger } from '../log/log.ts';
import type { RequestRecord, TraceObserver } from './trace/request-trace.ts';

/** Options of the access log. */
export interface AccessLogOptions {
  readonly logger: Logger;
  readonly format: Config['log']['format'];
  /** `api_access.log`; undefined: only the log. */
  readonly file?: LogDestination | undefined;
}

/** Routes that monitoring polls; they are logged at level debug, and not in the file. */
const watchedRoutes = ['/ping', '/health', '/ready', '/metrics'];

/** Longer paths are truncated: no endpoint has one. */
const pathLimit = 200;

/**
 * One line for every request, including refused ones: key ids, counts and times. Never the content of a request or a
 * reply, and no part of a key.
 */
export class AccessLog implements TraceObserver {
  readonly #options: AccessLogOptions;

  constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  began(): void {}

  ended(_trace: unknown, record: RequestRecord): void {
    const { logger, format, file } = this.#options;
    const fields = toFields(record);
    if (record.route !== undefined && watchedRoutes.includes(record.route)) {
      logger.debug(fields, 'request completed');
      return;
    }
    logger.info(fields, 'request completed');
    file?.write(format === 'json' ? jsonLine(record, fields) : textLine(record));
  }
}

/**
 * Fields without a value are omitted. `code` is the one that the client saw; `reason` is why a key was refused, or which of
 * the causes of the code it was.
 */
function toFields({ generation, inputTokenCount, ...record }: RequestRecord) {
  const { requestId, keyId, client, method, status, failure, durationMs, sentBytes } = record;
  const code = failure && wireCodeOf(failure);
  const reason = record.keyFailure ?? (code === failure ? undefined : failure);
  const base = {
    requestId,
    keyId,
    client,
    method,
    path: record.path.slice(0, pathLimit),
    status,
    code,
    reason,
    durationMs: rounded(durationMs),
    sentBytes,
  };
  if (generation === undefined) {
    return inputTokenCount === undefined ? base : { ...base, promptTokenCount: inputTokenCount };
  }
  const { promptTokenCount, cachedTokenCount, completionTokenCount, sequences } = generation;
  return {
    ...base,
    promptTokenCount,
    cachedTokenCount,
    completionTokenCount,
    queueMs: rounded(Math.max(0, ...sequences.map(({ timings }) => timings.queueMs))),
    firstTokenMs: rounded(generation.firstTokenMs),
    finishReason:
      [...new Set(sequences.map(({ finishReason }) => finishReason))].join(',') || undefined,
  };
}

/** To tenths of a millisecond. */
function rounded(ms: number): number;
function rounded(ms: number | undefined): number | undefined;
function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 10) / 10;
}

/** The Python gateway's form: `timestamp | key_id | METHOD path | status`. */
function textLine({ keyId = '-', method, path, status }: RequestRecord): string {
  const ts = new Date().toISOString();
  return `${ts} | ${cell(keyId)} | ${cell(method)} ${cell(path)} | ${status}\n`;
}

/** The Python gateway's keys first, then further ones under the names of the log. */
function jsonLine(record: RequestRecord, fields: object): string {
  const { keyId = '-', method, status } = record;
  const { path, ...rest } = fields as { readonly path: string; readonly keyId?: string };
  const { keyId: _, ...more } = rest;
  return `${JSON.stringify({ ts: new Date().toISOString(), key_id: keyId, method, path, status, ...more })}\n`;
}

/** Replaces characters that would end the field or the line. */
function cell(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it matches
  return text.slice(0, pathLimit).replace(/[|\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '_');
}
