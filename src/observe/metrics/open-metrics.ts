/**
 * Prometheus text as OpenMetrics. prom-client's own output renames counters without `_total`, which existing dashboards
 * query by name. In OpenMetrics such counters have the type `unknown`, which may have any name.
 * @see https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
export function toOpenMetrics(text: string): string {
  const lines = text.split('\n').filter((line) => line !== '');
  // A HELP line precedes the TYPE line that decides whether its name loses the suffix.
  const families = new Map<string, { readonly name: string; readonly type: string }>();
  for (const line of lines) {
    const [, name, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
    if (name === undefined || type === undefined) continue;
    families.set(name, toFamily(name, type));
  }
  const written = lines.map((line) => {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === undefined) return line;
    const family = families.get(name) ?? { name, type: rest };
    return `# ${keyword} ${family.name} ${keyword === 'TYPE' ? family.type : rest}`;
  });
  return `${written.join('\n')}\n# EOF\n`;
}

function toFamily(name: string, type: string) {
  if (type !== 'counter') return { name, type };
  if (!name.endsWith('_total')) return { name, type: 'unknown' };
  return { name: name.slice(0, -'_total'.length), type };
}
