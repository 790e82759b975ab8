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
const label = '[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?';

/** Patterns that allow only valid strings of a format, and all common ones. */
export const formatPatterns: ReadonlyMap<string, string> = new Map([
  ['date', `^${date}$`],
  ['time', `^${time}$`],
  ['date-time', `^${date}T${time}$`],
  ['uuid', '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'],
  ['ipv4', `^${byte}(\\.${byte}){3}$`],
  ['email', `^[A-Za-z0-9_+-]{1,30}(\\.[A-Za-z0-9_+-]{1,30}){0,1}@${label}(\\.${label}){1,3}$`],
]);
