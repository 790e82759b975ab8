/**
 * Writes everything that follows from the engine's list of statistics (native/src/engine/engine_stats.h) and from the
 * metrics: src/engine/engine-statistics.ts, out of the built addon, and the tables of docs/metrics.md.
 *
 *     npm run build && npm run docs:metrics
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { loadAddon } from '../src/engine/load-addon.ts';
import { statisticsSource } from './statistics-source.ts';

const sourcePath = new URL('../src/engine/engine-statistics.ts', import.meta.url);
writeFileSync(sourcePath, statisticsSource(loadAddon('cpu').statistics));

// Only now: the metrics read what was just written.
const { withMetricTables } = await import('./metric-tables.ts');
const pagePath = new URL('../docs/metrics.md', import.meta.url);
writeFileSync(pagePath, withMetricTables(readFileSync(pagePath, 'utf8')));
