import { integer, seconds, truth } from '../../core/value-kinds.ts';
import { setting } from '../setting.ts';

/** The process that starts the gateway again. */
export const supervisorSettings = {
  DEBUG_SHELL: setting({
    at: 'debugShell',
    kind: truth(),
    fallback: false,
    summary: 'start nothing, show the environment without secrets, and stay for 300 seconds',
  }),
  SUPERVISE: setting({
    at: 'supervision.enabled',
    kind: truth(),
    fallback: true,
    summary: 'run the gateway as a child process that is started again when it crashes',
  }),
  WATCHDOG_TIMEOUT: setting({
    at: 'supervision.watchdogTimeoutMs',
    kind: seconds({ min: 0, max: 86_400 }),
    fallback: 300_000,
    summary:
      'seconds without a step, while requests wait for one, after which the gateway is stuck; 0 = never',
  }),
  RESTART_LIMIT: setting({
    at: 'supervision.restartLimit',
    kind: integer({ min: 0, max: 1000 }),
    fallback: 5,
    summary:
      'restarts in a row after which the supervisor gives up; a minute without a crash ends the row',
  }),
};
