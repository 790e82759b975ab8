/** The servers that every client is tried on, and what all clients ask of them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startSharedServer, type TestServer, temporaryFolder } from '../../support/start-server.ts';

export interface ServedModel {
  readonly name: string;
  /** Undefined: the bundled model. */
  readonly modelPath: string | undefined;
  /** The model knows the tools of these tests, and the tests may expect its words. */
  readonly isTrained: boolean;
}

const chatModelPath = process.env.TEST_CHAT_MODEL || undefined;

/** The bundled model, and a model that was made by others where `TEST_CHAT_MODEL` names one. */
export const servedModels: readonly ServedModel[] = [
  { name: 'the bundled model', modelPath: undefined, isTrained: true },
  ...(chatModelPath === undefined
    ? []
    : [{ name: 'TEST_CHAT_MODEL', modelPath: chatModelPath, isTrained: false }]),
];

/** The id of the model on every server of these tests. */
export const modelId = 'served';

/** Serves the model until the end of the test file. */
export function serveModel({ modelPath }: ServedModel): Promise<TestServer> {
  const flags = ['--model-alias', modelId];
  return startSharedServer({ ...(modelPath !== undefined && { modelPath }), flags });
}

/**
 * Sends a request whose reply is to be compared. From then on its prompt is cached, so that the replies to compare
 * are computed alike: beside a processor's own kernels, a prompt that is computed rounds otherwise than a cached one.
 */
export async function warm(send: () => PromiseLike<unknown>): Promise<void> {
  await send();
}

export const goodKey = 'sk-Q7yTn0x5oPz2mVb8KdLcRw';
/** One request a minute. */
export const slowKey = 'sk-u3JfWq9ZsAe6HtGk1XiNyC';
export const unknownKey = 'sk-M4rDv7UoBg0YlPc5EjSxTh';

/** A server with keys and one slot, which refuses the second request that would wait for it. */
export function serveWithKeys(): Promise<TestServer> {
  const file = join(temporaryFolder(), 'keys.txt');
  writeFileSync(file, `good:${goodKey}\nslow:${slowKey}:1\n`);
  return startSharedServer({
    flags: [
      ...['--model-alias', modelId, '--auth-enabled', '--auth-keys-file', file],
      ...['--parallel', '1', '--max-queue-size', '1'],
    ],
  });
}

/** A prompt of more tokens than the context of the bundled model. */
export const longPrompt = 'word '.repeat(20_000);
