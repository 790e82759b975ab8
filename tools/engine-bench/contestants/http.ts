/** An OpenAI-compatible server and a minimal client, which share the cores. */
import { Agent, type IncomingMessage, request } from 'node:http';
import type { PromptSource } from '../prompts.ts';
import { type Contestant, secondsOf } from './contestant.ts';

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

/** Chunks at the end of a stream that the client keeps. They hold the usage frame and `[DONE]`. */
const tailChunkCount = 8;

export async function connectHttp(options: {
  readonly name: string;
  /** With or without the trailing `/v1`. */
  readonly baseUrl: string;
  readonly prompts: PromptSource;
  readonly close?: () => Promise<void>;
}): Promise<Contestant> {
  const { name, prompts } = options;
  const baseUrl = options.baseUrl.replace(/\/(v1\/?)?$/, '');
  const agent = new Agent({ keepAlive: true });
  const modelId = await firstModelId(baseUrl, agent);

  const complete = (content: string, completionTokenCount: number): Promise<Usage> =>
    streamChat(`${baseUrl}/v1/chat/completions`, agent, {
      model: modelId,
      messages: [{ role: 'user', content }],
      max_tokens: completionTokenCount,
      temperature: 0,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    });

  /** Tokens that the server's chat template adds to a message. */
  let templateTokenCount: number | undefined;
  const measureTemplate = async (): Promise<number> => {
    const [prompt] = prompts.take(1, 8);
    const usage = await complete(prompt?.text ?? '', 1);
    return usage.prompt_tokens - 8;
  };

  return {
    name,
    async run({ streamCount, promptTokenCount, completionTokenCount }) {
      templateTokenCount ??= await measureTemplate();
      const contentTokenCount = promptTokenCount - templateTokenCount;
      if (contentTokenCount < 2) {
        throw new Error(`${name}: the chat template alone takes ${templateTokenCount} tokens`);
      }
      const batch = prompts.take(streamCount, contentTokenCount);
      let usages: Usage[] = [];
      const seconds = await secondsOf(async () => {
        usages = await Promise.all(batch.map(({ text }) => complete(text, completionTokenCount)));
      });
      return {
        seconds,
        promptTokenCount: usages.reduce((sum, usage) => sum + usage.prompt_tokens, 0),
        completionTokenCount: usages.reduce((sum, usage) => sum + usage.completion_tokens, 0),
      };
    },
    async close() {
      agent.destroy();
      await options.close?.();
    },
  };
}

async function firstModelId(baseUrl: string, agent: Agent): Promise<string> {
  const response = await send(`${baseUrl}/v1/models`, agent);
  let body = '';
  for await (const chunk of response) body += String(chunk);
  if (response.statusCode !== 200) throw new Error(`${baseUrl}/v1/models answered ${body}`);
  const models = JSON.parse(body) as { readonly data: readonly { readonly id: string }[] };
  const id = models.data[0]?.id;
  if (id === undefined) throw new Error(`${baseUrl} serves no model`);
  return id;
}

/** Sends one request and reads its stream to the end; only the last frames are parsed. */
async function streamChat(url: string, agent: Agent, body: object): Promise<Usage> {
  const response = await send(url, agent, JSON.stringify(body));
  const tail = await lastChunks(response);
  const frames = tail.split(/\r?\n\r?\n/);
  const usageFrame = frames.findLast((frame) => frame.includes('"usage":{'));
  if (response.statusCode !== 200 || usageFrame === undefined || !tail.includes('data: [DONE]')) {
    throw new Error(`${url} answered ${response.statusCode}: ${tail}`);
  }
  const { usage } = JSON.parse(usageFrame.slice(usageFrame.indexOf('{'))) as { usage: Usage };
  return usage;
}

/** The last chunks of a body. A listener takes half the time of `for await`, and the client shares the server's cores. */
function lastChunks(response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (chunks.length > tailChunkCount) chunks.shift();
    });
    response.on('end', () => resolve(Buffer.concat(chunks).toString()));
    response.on('error', reject);
  });
}

/** Sends a request, and repeats it on a new connection if the server has closed the reused one. */
function send(url: string, agent: Agent, body?: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', authorization: 'Bearer bench' };
    const method = body === undefined ? 'GET' : 'POST';
    const sent = request(url, { agent, method, headers }, resolve);
    sent.on('error', (error) => {
      if (sent.reusedSocket) send(url, agent, body).then(resolve, reject);
      else reject(error);
    });
    sent.end(body);
  });
}
