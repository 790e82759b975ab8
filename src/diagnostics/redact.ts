import { namesOfSetting, type SettingName, settingNames, settingOf } from '../config/table.ts';

const mark = '[redacted]';

/**
 * Forms of secrets. They match too much rather than too little: a value that is lost here can be asked for, a leak cannot
 * be undone.
 */
const shapes: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // Keys with a prefix, of this server and of others.
  [/\b(?:sk|pk|rk|hf|ghp|gho|ghs|glpat|xox[abp]|gateway)[-_][A-Za-z0-9_-]{8,}/g, mark],
  [/\bgithub_pat_\w{8,}/g, mark],
  [/\bAKIA[A-Z0-9]{12,}/g, mark],
  // JSON web tokens.
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, mark],
  [/\b(Bearer|Basic)\s+[^\s"',;]+/gi, `$1 ${mark}`],
  // User and password of a URL, and its query.
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, `$1${mark}@`],
  [/(\bhttps?:\/\/[^\s?"']+)\?[^\s"']+/gi, `$1?${mark}`],
  // Values of a name that says so, in a shell, in JSON and in a header.
  [
    /((?:api[_-]?key|authorization|passw(?:or)?d|passphrase|secret|credential|access[_-]?token)["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s,;&]+)/gi,
    `$1${mark}`,
  ],
  [/-----BEGIN [A-Z ]+-----[\s\S]*?(?:-----END [A-Z ]+-----|$)/g, mark],
];

/** Long runs of letters and digits, except request ids, which support needs. */
const longToken = /\b(?!req_[0-9a-f]{32}\b)(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{32,}/g;

/** The text without anything that resembles a secret. */
export function redact(text: string): string {
  const known = shapes.reduce((rest, [shape, instead]) => rest.replace(shape, instead), text);
  return known.replace(longToken, mark);
}

/** Variables of other programs that explain the behaviour of a server. */
const foreignNames = [
  'CUDA_VISIBLE_DEVICES',
  'GGML_VK_VISIBLE_DEVICES',
  'HOSTNAME',
  'LANG',
  'LC_ALL',
  'LD_LIBRARY_PATH',
  'NODE_ENV',
  'NODE_OPTIONS',
  'NVIDIA_DRIVER_CAPABILITIES',
  'NVIDIA_VISIBLE_DEVICES',
  'OMP_NUM_THREADS',
  'PATH',
  'TZ',
  'UV_THREADPOOL_SIZE',
] as const;

/** Settings with long values of any content. */
const textSettings: readonly SettingName[] = ['CHAT_TEMPLATE'];

/** Names of settings, and their aliases, whose values may be shown. */
export const shownSettings: ReadonlySet<string> = new Set(
  settingNames
    .filter((name) => !textSettings.includes(name) && settingOf(name).secret !== true)
    .flatMap(namesOfSetting),
);

/** `NAME=value` of known variables, without secrets, and the number of other variables. */
export function shownEnvironment(env: Readonly<Record<string, string | undefined>>): string {
  const names = Object.keys(env).sort();
  const isShown = (name: string) =>
    shownSettings.has(name) || foreignNames.some((each) => each === name);
  const lines = names.filter(isShown).map((name) => `${name}=${redact(env[name] ?? '')}`);
  return [...lines, `(${names.length - lines.length} other variables are not shown)`, ''].join(
    '\n',
  );
}
