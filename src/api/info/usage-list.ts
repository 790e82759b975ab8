import { type Static, Type } from 'typebox';
import {
  checkFilter,
  matches,
  type UsageFilter,
  UsageFilterError,
} from '../../access/usage/usage-filter.ts';
import type { Usage } from '../../access/usage/usage-lines.ts';
import { GatewayError } from '../../core/errors.ts';

/** The usage of one key on one day (UTC). */
export const UsageOfDay = Type.Object({
  day: Type.String(),
  key_id: Type.String(),
  requests: Type.Integer(),
  errors: Type.Integer(),
  prompt_tokens: Type.Integer(),
  cached_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
});
export type UsageOfDay = Static<typeof UsageOfDay>;

/** The reply of `GET /admin/usage`, sorted by day, then by key. */
export const UsageList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(UsageOfDay),
});
export type UsageList = Static<typeof UsageList>;

/** Example of the API document. */
export const exampleUsageList: UsageList = {
  object: 'list',
  data: [
    {
      day: '2026-11-24',
      key_id: 'alice',
      requests: 12,
      errors: 1,
      prompt_tokens: 4210,
      cached_tokens: 3000,
      completion_tokens: 1188,
    },
  ],
};

export function toUsageList(usages: readonly Usage[], filter: UsageFilter): UsageList {
  const wanted = usages.filter((usage) => matches(usage, filter));
  return { object: 'list', data: wanted.map(toUsageOfDay) };
}

function toUsageOfDay(usage: Usage): UsageOfDay {
  return {
    day: usage.day,
    key_id: usage.keyId,
    requests: usage.requestCount,
    errors: usage.errorCount,
    prompt_tokens: usage.promptTokenCount,
    cached_tokens: usage.cachedTokenCount,
    completion_tokens: usage.completionTokenCount,
  };
}

/** Query parameters of the filter's fields. */
const params: Readonly<Record<keyof UsageFilter, string>> = {
  day: 'day',
  from: 'from',
  to: 'to',
  keyId: 'key_id',
};

/** @throws {GatewayError} `invalid_value`, with the parameter's name */
export function readUsageQuery(query: Readonly<Record<string, unknown>>): UsageFilter {
  const known = Object.values(params);
  for (const [param, value] of Object.entries(query)) {
    if (!known.includes(param)) throw invalid(param, `is not one of ${known.join(', ')}`);
    if (typeof value !== 'string') throw invalid(param, 'must be given once');
  }
  const { day, from, to, key_id: keyId } = query as Readonly<Record<string, string | undefined>>;
  const filter = { day, from, to, keyId };
  try {
    checkFilter(filter);
  } catch (error) {
    if (!(error instanceof UsageFilterError)) throw error;
    throw invalid(params[error.field], `must ${error.expectation}`);
  }
  return filter;
}

function invalid(param: string, what: string): GatewayError {
  return new GatewayError('invalid_value', { param, message: `\`${param}\` ${what}.` });
}
