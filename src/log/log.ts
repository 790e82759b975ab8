import { type Logger, pino, stdSerializers, stdTimeFunctions } from 'pino';
import type { LogSettings } from './log-settings.ts';

export type { Logger };

/** Receives finished lines; each ends in a newline. */
export interface LogDestination {
  write(line: string): unknown;
}

/**
 * Creates the logger. `json` writes an object per line with `ts`, `level` (a word) and `msg`; `text` writes
 * `[gateway] message key=value`. Stack traces are shown from level debug on.
 */
export function createLogger(
  { level, format }: Pick<LogSettings, 'level' | 'format'>,
  destination: LogDestination = process.stderr,
): Logger {
  const showsStack = level === 'debug' || level === 'trace';
  return pino(
    {
      level,
      base: null,
      messageKey: 'msg',
      timestamp: () => stdTimeFunctions.isoTime().replace('"time"', '"ts"'),
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        err: (error: Error) => (showsStack ? stdSerializers.err(error) : errorSummary(error)),
      },
    },
    format === 'json'
      ? { write: (line: string) => destination.write(line) }
      : { write: (line: string) => destination.write(toTextLine(line)) },
  );
}

/** Makes control characters, line separators and bidirectional overrides visible and harmless. */
export function neutralise(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern is for these characters
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => {
      switch (character) {
        case '\n':
          return '\\n';
        case '\r':
          return '\\r';
        case '\t':
          return '\\t';
        default:
          return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
      }
    },
  );
}

function errorSummary(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  return { type: error.name, message: error.message, ...code };
}

function toTextLine(line: string): string {
  const { ts: _ts, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const mark = level === 'info' ? '' : `${String(level)}: `;
  const pairs = Object.entries(fields).map(([key, value]) => ` ${neutralise(key)}=${show(value)}`);
  return `[gateway] ${mark}${neutralise(String(msg ?? ''))}${pairs.join('')}\n`;
}

/** Bare where the value is one word, else quoted as JSON. */
function show(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"'=]+$/.test(value)) return neutralise(value);
  return neutralise(JSON.stringify(value));
}
