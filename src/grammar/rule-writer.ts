/** Collects the rules of a grammar under short names. */
export class RuleWriter {
  readonly #rules: string[] = [];
  readonly #names = new Map<string, string>();

  /** @returns the name of a rule with this body; equal bodies share one */
  add(body: string): string {
    const known = this.#names.get(body);
    if (known !== undefined) return known;
    const name = this.reserve();
    this.define(name, body);
    this.#names.set(body, name);
    return name;
  }

  /** A name for a rule that is defined later, because it refers to itself. */
  reserve(): string {
    this.#rules.push('');
    return `r${this.#rules.length}`;
  }

  define(name: string, body: string): void {
    this.#rules[Number(name.slice(1)) - 1] = body;
  }

  /** The grammar whose root is `root`. */
  text(root: string): string {
    const rules = this.#rules.map((body, index) => `r${index + 1} ::= ${body}`);
    return [`root ::= ${root}`, ...rules].join('\n');
  }
}
