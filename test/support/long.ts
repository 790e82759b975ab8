/**
 * `npm run test:long` (`LONG=1`) runs the files that import this module, with more rounds and with the cases that
 * `npm test` leaves out.
 */
export const isLong = process.env.LONG === '1';
