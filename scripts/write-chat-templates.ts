/**
 * Writes the tables of docs/chat-templates.md: what becomes of each shape of conversation on the chat templates of
 * llama.cpp's source.
 *
 *     npm run build && npm run docs:templates
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { type MatrixRow, matrixRow } from '../tools/fixtures/chat-matrix.ts';
import { loadModel, startEngine } from '../tools/fixtures/start-engine.ts';
import { templateNames, templateSource } from '../tools/fixtures/template-sources.ts';
import { withTemplateTables } from './chat-template-tables.ts';

const loaded = await loadModel({ contextLength: 512 });
const rows = new Map<string, MatrixRow>();
for (const name of templateNames()) {
  const engine = await startEngine(loaded.model, {
    chatTemplate: templateSource(name),
    slotCount: 1,
  });
  rows.set(name, await matrixRow(engine.generator));
  await engine.close();
}
await loaded.dispose();
const page = new URL('../docs/chat-templates.md', import.meta.url);
writeFileSync(page, withTemplateTables(readFileSync(page, 'utf8'), rows));
