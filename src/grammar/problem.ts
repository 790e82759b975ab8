/** Why a schema or a grammar cannot be enforced, and where. */
export class GrammarProblem extends Error {
  /** Path within what was checked, such as `properties.a.not`; empty: all of it. */
  readonly path: string;

  /** @param reason - the end of a sentence whose subject is the path */
  constructor(path: string, reason: string) {
    super(reason);
    this.name = 'GrammarProblem';
    this.path = path;
  }
}
