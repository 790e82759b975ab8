/**
 * Generates the tables of docs/configuration.md from the table of settings. The text between the tables stays.
 *
 *     npm run docs:configuration
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { withSettingTables } from '../src/config/help.ts';

const path = new URL('../docs/configuration.md', import.meta.url);
writeFileSync(path, withSettingTables(readFileSync(path, 'utf8')));
