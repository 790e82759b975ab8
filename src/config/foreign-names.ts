/** Environment names that look like settings but are not. */
import { nearest } from '../core/nearest.ts';
import type { ConfigWarning } from './config-warning.ts';
import { namesOfSetting, settingNames } from './table.ts';

/** Names that are easily taken for a setting, and the setting to use. */
const misnamed: Readonly<Record<string, string>> = {
  GPU_LAYERS: 'NGL',
  CONTEXT_SIZE: 'CTX',
  RATE_LIMIT: 'MAX_REQUESTS_PER_MINUTE',
};

/** Names that had a meaning when the engine was a second process behind a socket, with the level of their warning. */
const obsolete: Readonly<Record<string, ConfigWarning['level']>> = {
  PORT_BACKEND: 'info',
  BACKEND_PORT: 'warn',
  BACKEND_HOST: 'info',
  BACKEND_API_KEY: 'warn',
  BACKEND_CONNECT_TIMEOUT: 'warn',
};

/** Names that have nothing left to set, and why. */
const pointless: Readonly<Record<string, string>> = {
  HEALTH_TIMEOUT: 'health is answered from memory and waits for nothing',
};

/** Shorter names resemble too many variables of other programs. */
const minComparedLength = 7;
const comparedNames = settingNames.flatMap(namesOfSetting);

/** The warning about a name of the environment that is not a setting, if it deserves one. */
export function foreignNameWarnings(name: string): readonly ConfigWarning[] {
  const instead = misnamed[name];
  if (instead !== undefined) {
    return [{ level: 'warn', message: `${name} is not a setting, use ${instead}` }];
  }
  const level = obsolete[name];
  if (level !== undefined) {
    const message = `${name} is ignored: the engine runs in this process, there is no backend server`;
    return [{ level, message }];
  }
  const reason = pointless[name];
  if (reason !== undefined) {
    return [{ level: 'info', message: `${name} has no effect: ${reason}` }];
  }
  const meant = name.length < minComparedLength ? undefined : nearest(name, comparedNames, 2);
  if (meant === undefined || meant.length < minComparedLength) return [];
  return [{ level: 'warn', message: `${name} is not a setting, did you mean ${meant}?` }];
}
