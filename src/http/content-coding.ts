/** Decodes request bodies that are compressed (docs/decisions/0022-compressed-bodies.md). */
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import zlib, { type BrotliOptions, type ZlibOptions } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { GatewayError } from '../core/errors.ts';
import { bodyTooLarge, hasBody } from './body-type.ts';

/** Decodes all bytes on a thread of libuv's pool, and stops as soon as the result exceeds `maxOutputLength`. */
type Decoder = (bytes: Buffer, options: ZlibOptions & BrotliOptions) => Promise<Buffer>;

const inflate = promisify<Buffer, ZlibOptions, Buffer>(zlib.inflate);
const inflateRaw = promisify<Buffer, ZlibOptions, Buffer>(zlib.inflateRaw);

/** Node.js has zstd from 22.15 on; the types are those of 20. */
const { zstdDecompress } = zlib as { readonly zstdDecompress?: typeof zlib.gunzip };

/** In the order in which `Accept-Encoding` names them. */
const decoders: ReadonlyMap<string, Decoder> = new Map<string, Decoder>([
  ['gzip', promisify<Buffer, ZlibOptions, Buffer>(zlib.gunzip)],
  ['deflate', (bytes, options) => (isZlib(bytes) ? inflate : inflateRaw)(bytes, options)],
  ['br', promisify<Buffer, BrotliOptions, Buffer>(zlib.brotliDecompress)],
  ...(zstdDecompress === undefined
    ? []
    : [['zstd', promisify<Buffer, ZlibOptions, Buffer>(zstdDecompress)] as const]),
]);

const decodable = [...decoders.keys()].join(', ');

/** Other names of codings. Some clients name the charset of a plain body as its coding. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['x-gzip', 'gzip'],
  ...['identity', 'none', 'utf-8', 'utf8'].map((name) => [name, 'identity'] as const),
]);

/** Each coding costs the time of a whole body. */
const maxCodingCount = 4;

/** Larger pieces than zlib's own 16 KiB: each costs a turn of the event loop. */
const chunkSize = 131_072;

/**
 * Replaces a compressed body by its content before it is parsed. The limit of a body holds for the compressed and for
 * the decoded bytes. Registered after the hooks that refuse a request by its head.
 */
export const contentCoding = fp(async (app) => {
  app.addHook('preParsing', async (request, reply, payload) => {
    const codings = codingsOf(request);
    if (codings.length === 0 || !hasBody(request)) return payload;
    refuseUnknown(codings, reply);
    const limitBytes = request.routeOptions.bodyLimit;
    const encoded = await readAll(payload as Readable, limitBytes);
    let content = encoded;
    for (const coding of codings.toReversed()) content = await decode(content, coding, limitBytes);
    // Fastify compares this length with `Content-Length`.
    return Object.assign(Readable.from([content], { objectMode: false }), {
      receivedEncodedLength: encoded.length,
    });
  });
});

/** The codings of a body, in the order in which they were applied: those of the content, then of the transfer. */
function codingsOf({ headers }: FastifyRequest): string[] {
  const { 'content-encoding': content = '', 'transfer-encoding': transfer = '' } = headers;
  return `${content},${transfer}`
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .map((name) => aliases.get(name) ?? name)
    .filter((name) => !['', 'identity', 'chunked'].includes(name));
}

function refuseUnknown(codings: readonly string[], reply: FastifyReply): void {
  const unknown = codings.filter((coding) => !decoders.has(coding));
  if (unknown.length === 0 && codings.length <= maxCodingCount) return;
  reply.header('accept-encoding', decodable);
  const names = unknown.map((coding) => `\`${coding.slice(0, 40)}\``).join(', ');
  throw new GatewayError('unsupported_media_type', {
    message:
      unknown.length === 0
        ? `The request body must have at most ${maxCodingCount} content encodings, received ${codings.length}.`
        : `The content encoding of the request body must be one of ${decodable}, received ${names}.`,
  });
}

/** The body as it was sent. The stream stays open, so that a refusal can still be sent on its connection. */
async function readAll(payload: Readable, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of payload.iterator({ destroyOnReturn: false })) {
      sizeBytes += chunk.length;
      if (sizeBytes > limitBytes) throw bodyTooLarge(limitBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    // The client has left.
    throw error instanceof GatewayError ? error : new GatewayError('bad_request', { cause: error });
  }
  return Buffer.concat(chunks);
}

async function decode(bytes: Buffer, coding: string, limitBytes: number): Promise<Buffer> {
  const decoder = decoders.get(coding);
  if (decoder === undefined) throw new Error(`no decoder of ${coding}`);
  try {
    return await decoder(bytes, { maxOutputLength: limitBytes, chunkSize });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw bodyTooLarge(limitBytes);
    throw new GatewayError('bad_request', {
      message: `The request body is not valid ${coding} data, as its content encoding says.`,
      cause: error,
    });
  }
}

/** Whether `deflate` bytes begin with the header of zlib (RFC 1950): some clients send them without. */
function isZlib([first = 0, second = 0]: Buffer): boolean {
  return first % 16 === 8 && (first * 256 + second) % 31 === 0;
}
