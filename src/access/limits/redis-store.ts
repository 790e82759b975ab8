import { Redis } from 'ioredis';
import type { LimitStore, WindowBounds, WindowEntry, WindowState } from './limit-store.ts';

/**
 * A window is a sorted set of entry ids by their time, and a hash of their amounts with the sum under `=`,
 * which is not an id. The clock is Redis's, so that all servers agree. Times are in milliseconds.
 */
const windowHead = `
local times, amounts = KEYS[1], KEYS[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function drop(id)
  local amount = redis.call('HGET', amounts, id)
  if not amount then return end
  redis.call('ZREM', times, id)
  redis.call('HDEL', amounts, id)
  redis.call('HINCRBY', amounts, '=', -amount)
end
local function put(id, amount)
  redis.call('ZADD', times, now, id)
  redis.call('HSET', amounts, id, amount)
  redis.call('HINCRBY', amounts, '=', amount)
end
local function keep(window)
  redis.call('PEXPIRE', times, window)
  redis.call('PEXPIRE', amounts, window)
end
`;

/** ARGV: id, amount, limit, window. Returns granted (1 or 0), used, retry, reset. */
const takeScript = `${windowHead}
local id, amount, limit, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', times, '-inf', now - window)) do drop(old) end
local used = tonumber(redis.call('HGET', amounts, '=') or '0')
local granted, retry = 1, 0
if used + amount <= limit then
  if amount > 0 then
    put(id, amount)
    keep(window)
    used = used + amount
  end
else
  granted, retry = 0, window
  local rest = used + amount - limit
  local entries = redis.call('ZRANGE', times, 0, -1, 'WITHSCORES')
  for index = 1, #entries, 2 do
    rest = rest - redis.call('HGET', amounts, entries[index])
    if rest <= 0 then
      retry = entries[index + 1] + window - now
      break
    end
  end
end
local last = redis.call('ZRANGE', times, -1, -1, 'WITHSCORES')
local reset = 0
if last[2] then reset = last[2] + window - now end
return {granted, used, retry, reset}
`;

/** ARGV: id, amount, window. */
const settleScript = `${windowHead}
local id, amount, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
drop(id)
if amount > 0 then
  put(id, amount)
  keep(window)
end
`;

/** ARGV: amount, limit, lifetime. Returns granted (1 or 0) and the total. */
const totalScript = `
local amount, limit, lifetime = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local total = tonumber(redis.call('GET', KEYS[1]) or '0')
if total + amount > limit then return {0, total} end
total = math.max(0, total + amount)
redis.call('SET', KEYS[1], string.format('%.0f', total), 'KEEPTTL')
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], lifetime) end
return {1, total}
`;

/** The commands that `defineCommand` adds. */
interface LimitCommands {
  lgiTake(
    times: string,
    amounts: string,
    ...values: (string | number)[]
  ): Promise<[number, number, number, number]>;
  lgiSettle(times: string, amounts: string, ...values: (string | number)[]): Promise<null>;
  lgiTotal(key: string, ...values: number[]): Promise<[number, number]>;
}

/** Prefix of all keys, since other programs may use the same Redis. */
const prefix = 'llama-gguf-inference:';

/** Timeout of a command, for which requests wait. */
const commandTimeoutMs = 1000;

/** Counts in a Redis, so that several servers share the limits of a key. */
export class RedisStore implements LimitStore {
  readonly #redis: Redis & LimitCommands;

  private constructor(redis: Redis) {
    redis.defineCommand('lgiTake', { numberOfKeys: 2, lua: takeScript });
    redis.defineCommand('lgiSettle', { numberOfKeys: 2, lua: settleScript });
    redis.defineCommand('lgiTotal', { numberOfKeys: 1, lua: totalScript });
    this.#redis = redis as Redis & LimitCommands;
  }

  /**
   * Connects, and retries until the store is closed. Without a connection commands fail at once: no request waits for
   * one.
   * @param onError - receives every failure to connect
   */
  static async open(url: string, onError: (error: Error) => void): Promise<RedisStore> {
    const redis = new Redis(url, {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: commandTimeoutMs,
      connectTimeout: 2000,
      retryStrategy: (attempt) => Math.min(attempt * 200, 5000),
    });
    redis.on('error', onError);
    const store = new RedisStore(redis);
    // `onError` receives the failure, and the client retries.
    await redis.connect().catch(() => {});
    return store;
  }

  async take(
    window: string,
    { id, amount }: WindowEntry,
    { limit, windowMs }: WindowBounds,
  ): Promise<WindowState> {
    const [granted, used, retryMs, resetMs] = await this.#redis.lgiTake(
      ...windowKeys(window),
      id,
      amount,
      limit,
      windowMs,
    );
    return { granted: granted === 1, used, retryMs, resetMs };
  }

  async settle(window: string, { id, amount }: WindowEntry, windowMs: number): Promise<void> {
    await this.#redis.lgiSettle(...windowKeys(window), id, amount, windowMs);
  }

  async addToTotal(
    name: string,
    amount: number,
    { limit, lifetimeMs }: { readonly limit: number; readonly lifetimeMs: number },
  ) {
    // Lua cannot parse infinity.
    const maxTotal = Math.min(limit, Number.MAX_SAFE_INTEGER);
    const [granted, total] = await this.#redis.lgiTotal(
      `${prefix}${name}`,
      amount,
      maxTotal,
      lifetimeMs,
    );
    return { granted: granted === 1, total };
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }
}

/** The braces keep both keys on one node of a cluster. */
function windowKeys(window: string): [string, string] {
  return [`${prefix}{${window}}:times`, `${prefix}{${window}}:amounts`];
}
