import { describe, expect, it } from 'vitest';
import {
  availableMemoryBytes,
  computeThreadCount,
  usableCoreCount,
} from '../../../src/model/machine.ts';
import { streamIntervalOf, threadPollOf } from '../../../src/model/machine-defaults.ts';

const GiB = 2 ** 30;
const reader = (files: Record<string, string>) => (path: string) => files[path];

describe('availableMemoryBytes', () => {
  it.each<[string, Record<string, string>, number]>([
    ['the machine, without control groups', {}, 16 * GiB],
    [
      'the machine, without a limit',
      {
        '/proc/self/cgroup': '0::/',
        '/sys/fs/cgroup/memory.max': 'max',
        '/sys/fs/cgroup/memory.current': '1',
      },
      16 * GiB,
    ],
    [
      'a limit, with cached files counted as free',
      {
        '/proc/self/cgroup': '0::/',
        '/sys/fs/cgroup/memory.max': String(4 * GiB),
        '/sys/fs/cgroup/memory.current': String(3 * GiB),
        '/sys/fs/cgroup/memory.stat': `anon 1\ninactive_file ${2 * GiB}\nactive_file 5`,
      },
      3 * GiB,
    ],
    [
      'the tightest of nested limits',
      {
        '/proc/self/cgroup': '0::/a/b',
        '/sys/fs/cgroup/a/b/memory.max': String(8 * GiB),
        '/sys/fs/cgroup/a/b/memory.current': '0',
        '/sys/fs/cgroup/a/memory.max': String(2 * GiB),
        '/sys/fs/cgroup/a/memory.current': String(GiB),
      },
      GiB,
    ],
    [
      'a limit of version 1, whose path is not visible',
      {
        '/proc/self/cgroup': '9:name=systemd:/\n4:memory:/docker/x\n0::/',
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': String(2 * GiB),
        '/sys/fs/cgroup/memory/memory.usage_in_bytes': String(GiB),
        '/sys/fs/cgroup/memory/memory.stat': `total_inactive_file ${GiB / 2}`,
      },
      1.5 * GiB,
    ],
    [
      'nothing when the limit is exceeded',
      {
        '/proc/self/cgroup': '0::/',
        '/sys/fs/cgroup/memory.max': '1',
        '/sys/fs/cgroup/memory.current': '2',
      },
      0,
    ],
  ])('is %s', (_name, files, expected) => {
    expect(availableMemoryBytes(reader(files), 16 * GiB)).toBe(expected);
  });
});

describe('computeThreadCount', () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [8, 7],
    [9, 7],
    [16, 14],
    [64, 56],
  ])('of %i cores is %i', (coreCount, expected) => {
    expect(computeThreadCount(coreCount)).toBe(expected);
  });
});

describe('threadPollOf', () => {
  const unset = { threadPoll: undefined };
  it.each([
    ['what was asked for', { threadPoll: 50 }, false, 50],
    ['none, where that was asked for', { threadPoll: 0 }, false, 0],
    ['a little on a CPU', unset, false, 1],
    ['none beside a GPU', unset, 'cuda', 0],
  ] as const)('is %s', (_what, config, gpu, expected) => {
    expect(threadPollOf(config, gpu)).toBe(expected);
  });
});

describe('streamIntervalOf', () => {
  const unset = { streamIntervalMs: undefined };
  it.each([
    ['what was asked for', { streamIntervalMs: 5 }, false, 4, 4, 5],
    ['none, where that was asked for', { streamIntervalMs: 0 }, false, 4, 4, 0],
    ['a frame where every core computes', unset, false, 2, 2, 16],
    ['none where cores are left', unset, false, 3, 4, 0],
    ['none beside a GPU', unset, 'cuda', 4, 4, 0],
  ] as const)('is %s', (_what, config, gpu, threadCount, coreCount, expected) => {
    expect(streamIntervalOf(config, gpu, threadCount, coreCount)).toBe(expected);
  });
});

describe('usableCoreCount', () => {
  it.each<[string, Record<string, string>, number]>([
    ['the machine', {}, 8],
    ['a quota', { '/proc/self/cgroup': '0::/', '/sys/fs/cgroup/cpu.max': '250000 100000' }, 2],
    ['at least 1', { '/proc/self/cgroup': '0::/', '/sys/fs/cgroup/cpu.max': '50000 100000' }, 1],
    ['no quota', { '/proc/self/cgroup': '0::/', '/sys/fs/cgroup/cpu.max': 'max 100000' }, 8],
    [
      'a quota of version 1',
      {
        '/proc/self/cgroup': '2:cpu,cpuacct:/',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '400000',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000',
      },
      4,
    ],
    [
      'no quota of version 1',
      {
        '/proc/self/cgroup': '2:cpu:/',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
      },
      8,
    ],
  ])('is %s', (_name, files, expected) => {
    expect(usableCoreCount(reader(files), 8)).toBe(expected);
  });
});
