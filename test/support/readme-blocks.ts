/** A shell block of a document that its tests run as it stands. */
export interface MarkedBlock {
  readonly name: string;
  readonly script: string;
  /** What the document prints as the answer: the `json` block after it, before the next script. */
  readonly reply: string | undefined;
}

/** The `sh` blocks that follow a line `<!-- test: NAME -->`, in their order, with their answers. */
export function markedBlocks(markdown: string): MarkedBlock[] {
  const marks = [...markdown.matchAll(/^<!-- test: *(\S+) *-->$/gm)];
  return marks.map((mark) => {
    const name = mark[1] ?? '';
    const rest = markdown.slice(mark.index + mark[0].length);
    const [block, script] = /^\s*```sh\n(.*?)^```$/ms.exec(rest) ?? [];
    if (script === undefined) throw new Error(`no sh block follows the mark of "${name}"`);
    const [, language, content] = /^```(\w*)\n(.*?)^```$/ms.exec(rest.slice(block?.length)) ?? [];
    return { name, script, reply: language === 'json' ? content : undefined };
  });
}
