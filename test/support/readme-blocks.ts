/** A shell block of a document that its tests run as it stands. */
export interface MarkedBlock {
  readonly name: string;
  readonly script: string;
}

/** The `sh` blocks that follow a line `<!-- test: NAME -->`, in their order. */
export function markedBlocks(markdown: string): MarkedBlock[] {
  const marks = [...markdown.matchAll(/^<!-- test: *(\S+) *-->$/gm)];
  return marks.map((mark) => {
    const name = mark[1] ?? '';
    const rest = markdown.slice(mark.index + mark[0].length);
    const [, script] = /^\s*```sh\n(.*?)^```$/ms.exec(rest) ?? [];
    if (script === undefined) throw new Error(`no sh block follows the mark of "${name}"`);
    return { name, script };
  });
}
