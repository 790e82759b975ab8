import { expect, test } from 'vitest';
import { wantsPromptLane } from '../../src/model/load.ts';

test.each([
  ['a part for every slot', 'auto', 2, 2048, true],
  ['split', 'split', 2, 2048, true],
  ['unified', 'unified', 2, 2048, false],
  ['slots that compete for cells', 'auto', 2, 2047, false],
  ['one slot', 'auto', 1, 1024, false],
] as const)('a lane for long prompts: %s', (_what, kvLayout, slotCount, kvTokenCount, expected) => {
  const shape = { slotCount, contextLength: 1024, kvTokenCount };
  expect(wantsPromptLane(shape, { promptLane: true, kvLayout })).toBe(expected);
  expect(wantsPromptLane(shape, { promptLane: false, kvLayout })).toBe(false);
});
