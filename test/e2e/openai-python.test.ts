/**
 * OpenAI's Python client, where it is installed: `PYTHON=/path/to/python npx vitest run --project e2e
 * test/e2e/openai-python.test.ts`.
 */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { startSharedServer, type TestServer } from '../support/start-server.ts';

const python = process.env.PYTHON ?? 'python3';
const isThere = spawnSync(python, ['-c', 'import openai'], { stdio: 'ignore' }).status === 0;

const script = `
import json, sys
from typing import Literal
from openai import NotFoundError, OpenAI
from pydantic import BaseModel

client = OpenAI(base_url=sys.argv[1] + "/v1", api_key="none")
model = client.models.list().data[0].id
question = [{"role": "user", "content": "Who are you?"}]
plain = client.chat.completions.create(model=model, messages=question, temperature=0)
pieces, usage = [], None
for chunk in client.chat.completions.create(
    model=model, messages=question, temperature=0, stream=True, stream_options={"include_usage": True}
):
    pieces += [choice.delta.content or "" for choice in chunk.choices]
    usage = chunk.usage or usage

class City(BaseModel):
    name: Literal["Paris", "Rome"]
    large: bool

parsed = client.chat.completions.parse(
    model=model, messages=question, response_format=City, max_tokens=200, temperature=0
)
text = client.completions.create(model=model, prompt="Hello", max_tokens=4)
vectors = client.embeddings.create(model=model, input=["a", "b"])
try:
    client.models.retrieve("no such model")
    refused = None
except NotFoundError as error:
    refused = error.code
print(json.dumps({
    "plain": plain.choices[0].message.content,
    "streamed": "".join(pieces),
    "usage": [plain.usage.completion_tokens, usage.completion_tokens],
    "parsed": type(parsed.choices[0].message.parsed).__name__,
    "text": text.choices[0].finish_reason,
    "vectors": [len(each.embedding) for each in vectors.data],
    "refused": refused,
}))
`;

let server: TestServer;
beforeAll(async () => {
  if (isThere) server = await startSharedServer({});
});

test.skipIf(!isThere)('chats, streams, parses, completes, embeds and lists', async () => {
  const run = promisify(execFile);
  const { stdout } = await run(python, ['-c', script, server.url]);
  const said = JSON.parse(stdout) as Record<string, unknown>;
  expect(said.streamed).toBe(said.plain);
  const [plainCount, streamedCount] = said.usage as number[];
  expect(streamedCount).toBe(plainCount);
  expect(said).toMatchObject({
    plain: expect.stringContaining('tiny-chat'),
    parsed: 'City',
    text: 'length',
    refused: 'model_not_found',
  });
  const [first, second] = said.vectors as number[];
  expect(first).toBeGreaterThan(0);
  expect(second).toBe(first);
});
