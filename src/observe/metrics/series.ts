import { Counter, Gauge, type Registry } from 'prom-client';

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
