import { gzipSync } from 'node:zlib';

const blockBytes = 512;

/** One file of an archive. */
export interface ArchiveEntry {
  /** At most 100 bytes, by the format. */
  readonly path: string;
  readonly content: string;
}

/**
 * A `.tar.gz` of small files, readable by their owner only.
 * @see POSIX.1-2017, pax, "ustar Interchange Format"
 */
export function tarGz(entries: readonly ArchiveEntry[], modified: Date): Buffer {
  const blocks = entries.flatMap(({ path, content }) => {
    const bytes = Buffer.from(content);
    const padding = Buffer.alloc((blockBytes - (bytes.length % blockBytes)) % blockBytes);
    return [header(path, bytes.length, modified), bytes, padding];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]));
}

function header(path: string, sizeBytes: number, modified: Date): Buffer {
  const block = Buffer.alloc(blockBytes);
  if (Buffer.byteLength(path) > 100)
    throw new Error(`the path is too long for an archive: ${path}`);
  const octal = (value: number, offset: number, width: number) =>
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
  block.write(path, 0);
  octal(0o600, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(sizeBytes, 124, 12);
  octal(Math.floor(modified.getTime() / 1000), 136, 12);
  // The checksum field counts as blanks.
  block.fill(' ', 148, 156);
  block.write('0', 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
