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

/** Everything in one schema that cannot be enforced. Path and message are those of the first problem. */
export class SchemaProblems extends GrammarProblem {
  /** Not empty, in the order of reading. */
  readonly problems: readonly GrammarProblem[];

  constructor(problems: readonly GrammarProblem[]) {
    const [first = new GrammarProblem('', 'cannot be enforced')] = problems;
    super(first.path, first.message);
    this.name = 'SchemaProblems';
    this.problems = problems;
  }
}
