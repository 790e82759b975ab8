/** One frame of a stream: its JSON, or the mark of a completed stream. */
export type SseFrame = { readonly json: unknown } | 'done';

/** Splits a whole event stream; anything but `data:` frames is an error. */
export function parseSse(text: string): SseFrame[] {
  if (!text.endsWith('\n\n')) throw new Error(`the stream ends inside a frame: ${text.slice(-80)}`);
  return text.split('\n\n').slice(0, -1).map(parseFrame);
}

/** An event of a stream whose events have names. */
export interface NamedEvent {
  readonly event: string;
  readonly json: Record<string, unknown>;
}

/** Splits a whole stream of named events; comments are left out, anything else is an error. */
export function parseNamedSse(text: string): NamedEvent[] {
  if (!text.endsWith('\n\n')) throw new Error(`the stream ends inside a frame: ${text.slice(-80)}`);
  const frames = text.split('\n\n').slice(0, -1);
  return frames
    .filter((frame) => !frame.startsWith(':'))
    .map((frame) => {
      const [, event, data] = /^event: (\S+)\ndata: ([^\r\n]+)$/.exec(frame) ?? [];
      if (event === undefined || data === undefined) throw new Error(`not a named event: ${frame}`);
      return { event, json: JSON.parse(data) };
    });
}

/** The frames of a stream as they arrive. */
export async function* readSse(body: AsyncIterable<Uint8Array>): AsyncGenerator<SseFrame> {
  const decoder = new TextDecoder();
  let pending = '';
  for await (const bytes of body) {
    const parts = (pending + decoder.decode(bytes, { stream: true })).split('\n\n');
    pending = parts.pop() ?? '';
    for (const part of parts) yield parseFrame(part);
  }
  if (pending !== '') throw new Error(`the stream ends inside a frame: ${pending}`);
}

function parseFrame(frame: string): SseFrame {
  const [, data] = /^data: ([^\r\n]+)$/.exec(frame) ?? [];
  if (data === undefined) throw new Error(`not a data frame: ${frame}`);
  return data === '[DONE]' ? 'done' : { json: JSON.parse(data) };
}
