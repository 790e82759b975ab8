/** Reads the text of `{"input": "…"}` while it is written. */
const beginning = /^\s*\{\s*"input"\s*:\s*"/;

/** A reader of one call of a custom tool, whose arguments are an object with one text. */
export class JsonInputReader {
  /** What is not read yet: the beginning of the object, or of an escape. */
  #rest = '';
  #state: 'before' | 'within' | 'behind' = 'before';

  /** @returns the next characters of the text */
  add(json: string): string {
    this.#rest += json;
    if (this.#state === 'before') {
      const [begun] = beginning.exec(this.#rest) ?? [];
      if (begun === undefined) return '';
      this.#rest = this.#rest.slice(begun.length);
      this.#state = 'within';
    }
    if (this.#state === 'behind') return '';
    return this.#readText();
  }

  #readText(): string {
    let text = '';
    let at = 0;
    while (at < this.#rest.length) {
      const character = this.#rest[at];
      if (character === '"') {
        this.#state = 'behind';
        break;
      }
      if (character !== '\\') {
        text += character;
        at += 1;
        continue;
      }
      const next = /^\\(?:u[0-9a-fA-F]{4}|[^u])/.exec(this.#rest.slice(at, at + 6))?.[0];
      // A pair of surrogates is two escapes of one character.
      if (next === undefined || (isHighSurrogate(next) && this.#rest.length < at + 12)) break;
      const whole = isHighSurrogate(next) ? this.#rest.slice(at, at + 12) : next;
      text += unescaped(whole) ?? unescaped(next) ?? '';
      at += unescaped(whole) === undefined ? next.length : whole.length;
    }
    this.#rest = this.#state === 'behind' ? '' : this.#rest.slice(at);
    return text;
  }
}

function isHighSurrogate(escaped: string): boolean {
  return /^\\u[dD][89abAB]/.test(escaped);
}

function unescaped(escaped: string): string | undefined {
  try {
    return String(JSON.parse(`"${escaped}"`));
  } catch {
    return undefined;
  }
}
