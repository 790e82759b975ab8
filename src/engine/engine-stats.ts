/** The numbers of an engine; `engine-statistics.ts` lists them. */
import { engineStatistics } from './engine-statistics.ts';

/** A counter or gauge of the engine, as the C++ list declares it. */
export interface Statistic {
  /** The name in {@link EngineStats}. */
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly unit: 'count' | 'milliseconds';
  /** The Prometheus series; undefined if the value is exported under names of other servers only. */
  readonly series?: string;
  /** The Prometheus label that tells the elements of a list apart; undefined for single numbers. */
  readonly label?: string;
  readonly help: string;
}

type Listed = (typeof engineStatistics)[number];

/** The value of every statistic, and the number of requests that wait for the engine. */
export type EngineStats = {
  readonly [Entry in Listed as Entry['name']]: Entry extends { readonly label: string }
    ? readonly number[]
    : number;
} & {
  /** Sequences that have not ended and whose readers keep up: a working engine does steps for them. */
  readonly awaitedCount: number;
};

/** The statistics of an engine that has done nothing. */
export const zeroStats = {
  ...Object.fromEntries(engineStatistics.map((entry) => [entry.name, 'label' in entry ? [] : 0])),
  awaitedCount: 0,
} as unknown as EngineStats;
