import { describe, expect, it } from 'vitest';
import { quantizationName } from '../../../src/model/file-type.ts';

describe('the name of a file type', () => {
  it.each([
    [0, 'F32'],
    [7, 'Q8_0'],
    [15, 'Q4_K_M'],
    [30, 'IQ4_XS'],
    [32, 'BF16'],
    [38, 'MXFP4_MOE'],
  ])('of %i is %s', (fileType, name) => {
    expect(quantizationName(fileType)).toBe(name);
  });

  it.each([undefined, 4, 1024, '7', 7n])('of %s is not known', (fileType) => {
    expect(quantizationName(fileType)).toBeUndefined();
  });
});
