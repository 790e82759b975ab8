/** The reason why a schema or a grammar cannot be enforced, and its path. */
export class GrammarProblem extends Error {
  /** Path in the schema, such as `properties.a.not`; empty for the whole. */
  readonly path: string;

  /** @param reason - the end of a sentence whose subject is the path */
  constructor(path: string, reason: string) {
    super(reason);
    this.name = 'GrammarProblem';
    this.path = path;
  }
}
