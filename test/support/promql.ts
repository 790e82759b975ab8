/** What a PromQL expression asks for: enough of the language for dashboards, not a parser of it. */

/** A metric and the labels an expression needs of it. */
export interface Wanted {
  readonly name: string;
  readonly labels: readonly string[];
}

const keywords = new Set([
  'by',
  'without',
  'on',
  'ignoring',
  'group_left',
  'group_right',
  'offset',
  'bool',
  'and',
  'or',
  'unless',
]);

/** Labels of `by (…)` are asked of every metric of the expression; `le` of buckets alone. */
export function wantedBy(expression: string): Wanted[] {
  const groups = [...expression.matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g)].flatMap(([, names = '']) =>
    names.split(',').map((name) => name.trim()),
  );
  const plain = expression
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ');
  const selectors = plain.matchAll(/([a-zA-Z_:][\w:]*)(?:\s*\{([^}]*)\})?(?!\s*\()(?![\w:])/g);
  return [...selectors]
    .filter(([, name = '']) => !keywords.has(name))
    .map(([, name = '', matchers = '']) => {
      const matched = [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(
        ([, label]) => label,
      );
      const grouped = groups.filter((label) => label !== 'le' || name.endsWith('_bucket'));
      return { name, labels: [...new Set([...matched, ...grouped])] as string[] };
    });
}
