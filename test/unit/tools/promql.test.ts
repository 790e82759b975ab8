import { expect, it } from 'vitest';
import { wantedBy } from '../../support/promql.ts';

it.each([
  ['up', [{ name: 'up', labels: [] }]],
  ['rate(a:b_total{x="1", y=~"v.*"}[5m])', [{ name: 'a:b_total', labels: ['x', 'y'] }]],
  [
    'histogram_quantile(0.9, sum by (le, z) (rate(t_bucket{x="1"}[$__rate_interval])))',
    [{ name: 't_bucket', labels: ['x', 'le', 'z'] }],
  ],
  [
    'rate(a[1m]) / (rate(a[1m]) + 2 * b)',
    [
      { name: 'a', labels: [] },
      { name: 'a', labels: [] },
      { name: 'b', labels: [] },
    ],
  ],
])('finds metrics and labels in %s', (expression, wanted) => {
  expect(wantedBy(expression)).toEqual(wanted);
});
