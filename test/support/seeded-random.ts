export { SeededRandom } from '../../src/bench/seeded-random.ts';

/** `TEST_SEED`, else one of this moment. Print it, so that a failure can be repeated. */
export function testSeed(): number {
  const given = process.env.TEST_SEED;
  return given === undefined || given === '' ? Date.now() % 1_000_000 : Number(given);
}
