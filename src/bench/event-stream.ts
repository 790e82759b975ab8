/** One event of an event stream, its lines of data joined. */
export interface StreamEvent {
  /** `message` by default; `error` also for the bare `error:` lines of old servers. */
  readonly name: string;
  readonly data: string;
}

/**
 * Reads an event stream chunk by chunk. A chunk may end within a character, a line, or a line end, which may be LF, CR or
 * both. Comments, ids and retry times are skipped.
 * @see WHATWG HTML, "Interpreting an event stream"
 */
export class EventStreamReader {
  readonly #decoder = new TextDecoder();
  #pending = '';
  #name = 'message';
  #dataLines: string[] = [];

  /** The events that these bytes complete. */
  read(bytes: Uint8Array): StreamEvent[] {
    const text = this.#pending + this.#decoder.decode(bytes, { stream: true });
    const events: StreamEvent[] = [];
    const lineEnd = /\r\n|\n|\r/g;
    let start = 0;
    for (let match = lineEnd.exec(text); match !== null; match = lineEnd.exec(text)) {
      // The other half of this line end may be in the next chunk.
      if (match[0] === '\r' && lineEnd.lastIndex === text.length) break;
      const event = this.#take(text.slice(start, match.index));
      if (event !== undefined) events.push(event);
      start = lineEnd.lastIndex;
    }
    this.#pending = text.slice(start);
    return events;
  }

  /** An empty line ends an event; an event without data does not count. */
  #take(line: string): StreamEvent | undefined {
    if (line === '') {
      const event = { name: this.#name, data: this.#dataLines.join('\n') };
      const isEmpty = this.#dataLines.length === 0;
      this.#name = 'message';
      this.#dataLines = [];
      return isEmpty ? undefined : event;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const rest = colon < 0 ? '' : line.slice(colon + 1);
    const value = rest.startsWith(' ') ? rest.slice(1) : rest;
    if (field === 'event') this.#name = value;
    if (field === 'error') this.#name = 'error';
    if (field === 'data' || field === 'error') this.#dataLines.push(value);
    return undefined;
  }
}
