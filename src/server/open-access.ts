/** Opens what API keys need: the keys themselves, the counters of their limits and the ledger of their usage. */
import { readEnvironmentKeys } from '../access/keys/environment-keys.ts';
import { KeySource } from '../access/keys/key-source.ts';
import { FallbackStore } from '../access/limits/fallback-store.ts';
import { restoreQuotas } from '../access/limits/key-token-meter.ts';
import type { LimitStore } from '../access/limits/limit-store.ts';
import { MemoryStore } from '../access/limits/memory-store.ts';
import { Ledger } from '../access/usage/ledger.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../log/log.ts';

/** Keys, limits and usage, open. */
export interface Access {
  /** Undefined without authentication. */
  readonly keys: KeySource | undefined;
  /** Undefined without authentication. */
  readonly limitStore: LimitStore | undefined;
  /** Undefined: usage is not recorded. */
  readonly ledger: Ledger | undefined;
  close(): Promise<void>;
}

/** Reads the keys, opens the stores, and reloads the keys on SIGHUP and when their file changes. */
export async function openAccess(
  { auth, ledger: place }: Pick<Config, 'auth' | 'ledger'>,
  logger: Logger,
): Promise<Access> {
  const keys = auth.enabled ? await openKeys(auth, logger) : undefined;
  const limitStore = keys && (await openLimits(auth, logger));
  const ledger = await openLedger(place, logger);
  // A Redis keeps its own counts.
  if (limitStore instanceof MemoryStore && ledger !== undefined) {
    await restoreQuotas(limitStore, await ledger.readAll());
  }
  const stopReloading = reloadOnRequest(keys, logger);
  return {
    keys,
    limitStore,
    ledger,
    close: async () => {
      stopReloading();
      await limitStore?.close();
      await ledger?.close();
    },
  };
}

/** A file without keys does not prevent the start, but every request is then refused. */
async function openKeys(
  { keysFile, adminKeyIds, environmentKeys }: Config['auth'],
  logger: Logger,
): Promise<KeySource> {
  const { keys: fixedKeys, warnings } = readEnvironmentKeys(environmentKeys ?? '');
  for (const { reason } of warnings) logger.warn(`API_KEYS: ${reason}`);
  const keys = new KeySource({ path: keysFile, adminKeyIds, fixedKeys, logger });
  await keys.open();
  return keys;
}

/** Opens also when the Redis is unreachable: it may come back. */
async function openLimits({ redisUrl }: Config['auth'], logger: Logger): Promise<LimitStore> {
  const own = new MemoryStore();
  if (redisUrl === undefined) return own;
  // Loaded here, because only this setting needs the client.
  const { RedisStore } = await import('../access/limits/redis-store.ts');
  const onError = (error: Error) => logger.debug({ err: error }, 'redis cannot be reached');
  return new FallbackStore(await RedisStore.open(redisUrl, onError), own, logger);
}

/** A folder that cannot be written, such as a read-only mount of models, does not prevent the start. */
async function openLedger(place: Config['ledger'], logger: Logger): Promise<Ledger | undefined> {
  if (place === undefined) {
    logger.info('usage is not recorded: USAGE_LEDGER is off or there is no data folder');
    return undefined;
  }
  try {
    const ledger = await Ledger.open(place, logger);
    logger.info({ ...place }, 'usage is recorded');
    return ledger;
  } catch (error) {
    logger.error({ err: error, ...place }, 'usage is not recorded: its ledger cannot be opened');
    return undefined;
  }
}

/**
 * Reloads the keys on SIGHUP and when their file changes. Without a listener SIGHUP ends the process, which is right only
 * when a terminal closes over a server without keys.
 * @returns stops reloading
 */
function reloadOnRequest(keys: KeySource | undefined, logger: Logger): () => void {
  if (keys === undefined && process.stdin.isTTY) return () => {};
  const onHangup = () => {
    logger.info(
      keys === undefined ? 'SIGHUP: there are no keys to reload' : 'SIGHUP: reloading keys',
    );
    // The key source has logged the error.
    keys?.load().catch(() => {});
  };
  process.on('SIGHUP', onHangup);
  const unwatch = keys?.watch();
  return () => {
    process.off('SIGHUP', onHangup);
    unwatch?.();
  };
}
