/** Every field of the references of OpenAI and Anthropic has a row in docs/api.md, and so has every field of the schemas. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MessageRequest } from '../../../src/api/messages/message-shapes.ts';
import { ResponseRequest } from '../../../src/api/responses/response-shapes.ts';

const text = readFileSync(new URL('../../../docs/api.md', import.meta.url), 'utf8');

/** The fields that rows of tables name in a section, its subsections included. */
function fieldsOf(heading: string): ReadonlySet<string> {
  const begin = text.indexOf(`\n${heading}\n`);
  expect(begin, heading).toBeGreaterThan(-1);
  const [level = ''] = heading.match(/^#+/) ?? [];
  const rest = text.slice(begin + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level.length}} `, 'm'));
  const rows = rest.slice(0, end === -1 ? undefined : end).match(/^\|.*$/gm) ?? [];
  const cells = rows.map((row) => row.split('|')[1] ?? '');
  const names = cells.flatMap((cell) => [...cell.matchAll(/`([\w.]+)[^`]*`/g)]);
  return new Set(names.map(([, name = '']) => name.split('.')[0] ?? ''));
}

const sampling = [...fieldsOf('### Sampling')];

/** The fields of a request in the reference of each API, as of November 2026. */
const references = {
  '## `POST /v1/responses`': [
    ...['background', 'context_management', 'conversation', 'include', 'input', 'instructions'],
    ...['max_output_tokens', 'max_tool_calls', 'metadata', 'model', 'moderation'],
    ...['parallel_tool_calls', 'previous_response_id', 'prompt', 'prompt_cache_key'],
    ...['prompt_cache_options', 'prompt_cache_retention', 'reasoning', 'safety_identifier'],
    ...['service_tier', 'store', 'stream', 'stream_options', 'temperature', 'text', 'tool_choice'],
    ...['tools', 'top_logprobs', 'top_p', 'truncation', 'user'],
  ],
  '## `POST /v1/messages`': [
    ...['cache_control', 'container', 'context_management', 'diagnostics', 'inference_geo'],
    ...['max_tokens', 'mcp_servers', 'messages', 'metadata', 'model', 'output_config'],
    ...['output_format', 'service_tier', 'speed', 'stop_sequences', 'stream', 'system'],
    ...['temperature', 'thinking', 'tool_choice', 'tools', 'top_k', 'top_p'],
    ...['user_profile_id', 'workspace_id'],
  ],
};

describe.each([
  ['## `POST /v1/responses`', ResponseRequest],
  ['## `POST /v1/messages`', MessageRequest],
] as const)('%s', (heading, schema) => {
  const documented = new Set([...fieldsOf(heading), ...sampling]);

  test('has a row for each field of the reference', () => {
    expect(references[heading].filter((field) => !documented.has(field))).toEqual([]);
  });

  test('has a row for each field of the schema, and the schema has each field with a row', () => {
    const fields = Object.keys(schema.properties);
    expect(fields.filter((field) => !documented.has(field))).toEqual([]);
    const refused = ['conversation', 'prompt'];
    const known = new Set([...fields, ...refused]);
    expect([...fieldsOf(heading)].filter((field) => !known.has(field))).toEqual([]);
  });
});
