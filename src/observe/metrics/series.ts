import { Counter, Gauge, type Histogram, type Registry } from 'prom-client';

/** Name and meaning of one series. */
export interface SeriesOptions {
  readonly name: string;
  readonly help: string;
  /** Labels that never change. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Adds a counter whose value is kept elsewhere and read at each scrape. */
export function readCounter(registry: Registry, options: SeriesOptions, read: () => number): void {
  const { name, help, labels = {} } = options;
  new Counter({
    name,
    help,
    labelNames: Object.keys(labels),
    registers: [registry],
    collect() {
      const value = read();
      this.reset();
      this.inc(labels, value);
    },
  });
}

/** Adds a gauge that is read at each scrape. */
export function readGauge(registry: Registry, options: SeriesOptions, read: () => number): void {
  const { name, help, labels = {} } = options;
  new Gauge({
    name,
    help,
    labelNames: Object.keys(labels),
    registers: [registry],
    collect() {
      this.set(labels, read());
    },
  });
}

/** What a histogram has counted. */
export interface HistogramReading {
  /** By bucket, without those of lower buckets; values above the last bound follow. */
  readonly counts: readonly number[];
  /** Of all values. */
  readonly sum: number;
}

/**
 * Adds a histogram whose values are counted elsewhere and read at each scrape. prom-client's own class can only observe
 * values; a registry asks no more of a metric than this object has.
 */
export function readHistogram(
  registry: Registry,
  { name, help, labels = {} }: SeriesOptions,
  bounds: readonly number[],
  read: () => HistogramReading,
): void {
  const values = () => {
    const { counts, sum } = read();
    let total = 0;
    const buckets = [...bounds, '+Inf'].map((le, index) => {
      const isLast = index === bounds.length;
      for (const count of counts.slice(index, isLast ? undefined : index + 1)) total += count;
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: total };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: total },
    ];
  };
  const declared = { name, help, type: 'histogram', aggregator: 'sum' };
  const metric = {
    ...declared,
    labelNames: Object.keys(labels),
    get: async () => ({ ...declared, values: values() }),
  };
  registry.registerMetric(metric as unknown as Histogram);
}
