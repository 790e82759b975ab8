const year = '[0-9]{4}';
const month31 = '(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])';
const month30 = '(0[469]|11)-(0[1-9]|[12][0-9]|30)';
// The 29th of February exists in some years only.
const february = '02-(0[1-9]|1[0-9]|2[0-8])';
const date = `${year}-(${month31}|${month30}|${february})`;
// Seconds of 60 exist in some minutes only.
const clock = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?';
const time = `${clock}(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])`;
const byte = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const ipv4 = `${byte}(\\.${byte}){3}`;
const group = '[0-9a-fA-F]{1,4}';
// All groups, or one gap for a few of them.
const ipv6 = `(${group}(:${group}){7}|${group}(:${group}){0,3}::(${group}(:${group}){0,2})?|::(${group}(:${group}){0,5})?)`;
const label = '[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20}){0,2}';
const topLabel = '[A-Za-z]{2,20}';
const host = `(${label}\\.){1,4}${topLabel}`;
const path = "[A-Za-z0-9._~!$&'()*+,;=:@-]";
const query = "[A-Za-z0-9._~!$&'()*+,;=:@/?-]";
const reference = `/?[A-Za-z0-9._~-]{1,60}(/${path}{0,60}){0,8}(\\?${query}{0,200})?(#${query}{0,60})?`;
const uri = `(https?|ftp)://${host}(:[1-9][0-9]{1,3})?(/${path}{0,60}){0,8}(\\?${query}{0,200})?(#${query}{0,60})?`;
const url = `(https?|ftp)://${host}(:[1-9][0-9]{1,3})?((/${path}{0,60}){1,8}(\\?${query}{0,200})?(#${query}{0,60})?)?`;
const digits = '[0-9]{1,4}';
const dateDuration = `(${digits}Y(${digits}M(${digits}D)?)?|${digits}M(${digits}D)?|${digits}D)`;
const timeDuration = `(${digits}H(${digits}M(${digits}S)?)?|${digits}M(${digits}S)?|${digits}S)`;
const base64 = '[A-Za-z0-9+/]';
const uuid = '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}';

/**
 * Patterns that allow only valid strings of a format, and all common ones. Every other format is an annotation, as the
 * standard has it.
 */
export const formatPatterns: ReadonlyMap<string, string> = new Map([
  ['date', `^${date}$`],
  ['time', `^${time}$`],
  ['date-time', `^${date}T${time}$`],
  ['iso-time', `^${clock}$`],
  ['iso-date-time', `^${date}T${time}$`],
  ['duration', `^P(${dateDuration}(T${timeDuration})?|T${timeDuration}|${digits}W)$`],
  ['uuid', `^${uuid}$`],
  ['uuid1', `^[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`],
  ['uuid3', `^[0-9a-f]{8}-[0-9a-f]{4}-3[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`],
  ['uuid4', `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`],
  ['uuid5', `^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`],
  ['ipv4', `^${ipv4}$`],
  ['ipv6', `^${ipv6}$`],
  ['ipvanyaddress', `^(${ipv4}|${ipv6})$`],
  [
    'ipv4network',
    `^(${byte}\\.0\\.0\\.0/8|${byte}\\.${byte}\\.0\\.0/16|${byte}(\\.${byte}){2}\\.0/24|${ipv4}/32)$`,
  ],
  ['ipv4interface', `^${ipv4}/([12]?[0-9]|3[0-2])$`],
  ['email', `^[A-Za-z0-9_+-]{1,30}(\\.[A-Za-z0-9_+-]{1,30}){0,1}@${host}$`],
  ['idn-email', `^[A-Za-z0-9_+-]{1,30}(\\.[A-Za-z0-9_+-]{1,30}){0,1}@${host}$`],
  ['hostname', `^(${label}\\.){0,4}${topLabel}$`],
  ['idn-hostname', `^(${label}\\.){0,4}${topLabel}$`],
  ['uri', `^${uri}$`],
  ['url', `^${url}$`],
  ['iri', `^${uri}$`],
  ['uri-reference', `^(${uri}|${reference})$`],
  ['iri-reference', `^(${uri}|${reference})$`],
  ['json-pointer', '^(/[A-Za-z0-9_.-]{0,60}){0,20}$'],
  ['relative-json-pointer', '^(0|[1-9][0-9]{0,2})(#|(/[A-Za-z0-9_.-]{0,60}){0,20})$'],
  ['byte', `^(${base64}{4}){0,1000}(${base64}{2}==|${base64}{3}=)?$`],
  ['base64', `^(${base64}{4}){0,1000}(${base64}{2}==|${base64}{3}=)?$`],
  ['base64url', '^[A-Za-z0-9_-]{0,2000}$'],
]);

/** Formats of integers, as bounds that are enforced: those beyond 2 ** 53 are lowered to what every reader can hold. */
export const integerFormats: ReadonlyMap<string, readonly [number, number]> = new Map([
  ['int8', [-128, 127]],
  ['int16', [-32_768, 32_767]],
  ['int32', [-2_147_483_648, 2_147_483_647]],
  ['uint8', [0, 255]],
  ['uint16', [0, 65_535]],
  ['uint32', [0, 4_294_967_295]],
  ['int64', [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]],
  ['uint64', [0, Number.MAX_SAFE_INTEGER]],
]);
