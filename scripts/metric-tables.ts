import { Admission } from '../src/admission/admission.ts';
import { ModelRegistry } from '../src/model/registry.ts';
import { EngineWatch } from '../src/observe/engine-watch.ts';
import { type MetricFamily, Metrics } from '../src/observe/metrics/metrics.ts';

/** The tables of docs/metrics.md, by the prefix of their metrics' names. */
const prefixes = ['gateway_', 'vllm:', 'llamacpp:'];

/**
 * The page with its tables written anew; everything between the tables stays.
 * @throws {Error} when the page has another number of tables
 */
export function withMetricTables(page: string): string {
  const table = /^\| Name \|.*\n(?:\|.*\n)*/gm;
  const foundCount = page.match(table)?.length ?? 0;
  if (foundCount !== prefixes.length) {
    throw new Error(`expected ${prefixes.length} tables of metrics, found ${foundCount}`);
  }
  const families = allFamilies();
  let index = 0;
  return page.replace(table, () => {
    const prefix = prefixes[index] ?? '';
    index += 1;
    const rows = families.filter(({ name }) => name.startsWith(prefix)).map(row);
    return `| Name | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
  });
}

function row({ name, type, labels, help }: MetricFamily): string {
  const labelNames = labels.map((label) => `\`${label}\``).join(', ');
  return `| \`${name}\` | ${type} | ${labelNames} | ${help.replaceAll('|', '\\|')} |`;
}

function allFamilies(): readonly MetricFamily[] {
  const models = new ModelRegistry();
  const admission = new Admission({ waitingCount: 0, waitMs: 0 }, () => 0);
  const families = new Metrics({
    models,
    watch: new EngineWatch(models, 0),
    admission,
    inputAdmission: admission,
    modelName: '',
    version: '',
  }).families();
  const unlisted = families.filter(({ name }) => !prefixes.some((each) => name.startsWith(each)));
  if (unlisted.length > 0) throw new Error(`no table has ${unlisted.map(({ name }) => name)}`);
  return families;
}
