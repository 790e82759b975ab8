import { expect, test } from 'vitest';
import { stateSequenceCount } from '../../../src/model/memory-estimate.ts';

/** As the addon exports them. */
const limits = { maxSequenceCount: 256, statesPerSlot: 2, spareStates: 2 };

test.each([
  ['auto', 4, 1024, 4096, 4],
  ['split', 16, 512, 8192, 16],
  ['unified', 4, 1024, 4096, 10],
  ['auto', 4, 1024, 4095, 10],
  ['unified', 200, 64, 12_800, 256],
] as const)(
  '%s with %i slots of %i tokens and %i cells keeps the states of %i sequences',
  (kvLayout, slotCount, contextLength, kvTokenCount, expected) => {
    const shape = { slotCount, contextLength, kvTokenCount };
    expect(stateSequenceCount(shape, kvLayout, limits)).toBe(expected);
  },
);
