import { choice, integer, text, truth, url } from '../../core/value-kinds.ts';
import { logFormats, logLevels } from '../../log/log-settings.ts';
import { setting } from '../setting.ts';

/** What is recorded, and where. */
export const logSettings = {
  LOG_LEVEL: setting({
    at: 'log.level',
    kind: choice(...logLevels),
    fallback: 'info',
    summary: 'least severe lines to log: trace, debug, info, warn, error, fatal, silent',
  }),
  LOG_FORMAT: setting({
    at: 'log.format',
    kind: choice(...logFormats),
    fallback: 'text',
    summary: 'form of the log lines',
  }),
  LOG_DIR: setting({
    kind: text('PATH'),
    fallbackText: '$DATA_DIR/logs; none where there is no data folder',
    summary: 'folder of log files',
  }),
  LOG_NAME: setting({
    kind: text('NAME'),
    fallback: 'llama',
    summary: 'folder of the server log under LOG_DIR',
  }),
  WORKER_TYPE: setting({
    kind: text('NAME'),
    fallbackText: 'none',
    summary: 'kind of worker; LOG_NAME is then llama-<kind>',
  }),
  INSTANCE_ID: setting({
    kind: text('ID'),
    fallbackText: 'the name of the machine',
    summary: 'name of this server in the names of its log files and its usage ledger',
  }),
  LOG_MAX_SIZE: setting({
    at: 'log.files.maxBytes',
    kind: integer({ min: 0, max: 2 ** 40 }),
    fallback: 52_428_800,
    summary: 'bytes after which a log file is rotated; 0 = never',
  }),
  LOG_MAX_FILES: setting({
    at: 'log.files.maxFiles',
    kind: integer({ min: 1, max: 1000 }),
    fallback: 5,
    summary: 'log files of a kind that are kept',
  }),
  ACCESS_LOG: setting({
    at: 'log.access',
    kind: truth(),
    fallback: true,
    summary: 'a log line for every request',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting({
    at: 'tracesEndpoint',
    kind: url('http:', 'https:'),
    fallbackText: 'none',
    summary: 'collector that receives traces of requests (OTLP over HTTP)',
  }),
  USAGE_LEDGER: setting({
    kind: truth(),
    fallback: true,
    summary: 'record what each key uses in $DATA_DIR/usage; nowhere without a data folder',
  }),
};
