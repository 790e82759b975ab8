/** Reads what a CUDA library was compiled for out of its fat binaries. */
import { readFileSync } from 'node:fs';

const regionMagic = Buffer.from([0x50, 0xed, 0x55, 0xba]);
const regionHeaderBytes = 16;

/** Entry kinds. */
const ptxKind = 1;
const machineCodeKind = 2;

export interface FatBinaryTargets {
  /** Architectures with machine code, and with PTX, ascending: 90 is sm_90. */
  readonly machineCode: readonly number[];
  readonly ptx: readonly number[];
  /** Version of the PTX language, such as `9.1`: that of CUDA 13.1. */
  readonly ptxVersions: readonly string[];
}

export function fatBinaryTargets(path: string): FatBinaryTargets {
  const data = readFileSync(path);
  const machineCode = new Set<number>();
  const ptx = new Set<number>();
  const ptxVersions = new Set<string>();
  let at = data.indexOf(regionMagic);
  while (at >= 0) {
    const end = at + regionHeaderBytes + Number(data.readBigUInt64LE(at + 8));
    const isRegion =
      data.readUInt16LE(at + 4) === 1 && data.readUInt16LE(at + 6) === regionHeaderBytes;
    let entry = at + regionHeaderBytes;
    while (isRegion && end <= data.length && entry < end) {
      const kind = data.readUInt16LE(entry);
      const architecture = data.readUInt32LE(entry + 28);
      if (kind === machineCodeKind) machineCode.add(architecture);
      if (kind === ptxKind) {
        ptx.add(architecture);
        ptxVersions.add(`${data.readUInt16LE(entry + 26)}.${data.readUInt16LE(entry + 24)}`);
      }
      entry += data.readUInt32LE(entry + 4) + Number(data.readBigUInt64LE(entry + 8));
    }
    at = data.indexOf(regionMagic, isRegion ? Math.max(end, at + 4) : at + 4);
  }
  const sorted = (set: Set<number>) => [...set].sort((a, b) => a - b);
  return { machineCode: sorted(machineCode), ptx: sorted(ptx), ptxVersions: [...ptxVersions] };
}
