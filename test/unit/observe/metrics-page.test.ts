import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { withMetricTables } from '../../../scripts/metric-tables.ts';

test('docs/metrics.md has the metrics as they are: npm run docs:metrics writes them', () => {
  const page = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');
  expect(page).toBe(withMetricTables(page));
});
