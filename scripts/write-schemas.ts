/**
 * Generates the tables of docs/json-schema.md: the examples run through the code that reads schemas. The text between
 * the tables stays.
 *
 *     npm run docs:schemas
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { withSchemaTables } from './schema-tables.ts';

const path = new URL('../docs/json-schema.md', import.meta.url);
writeFileSync(path, withSchemaTables(readFileSync(path, 'utf8')));
