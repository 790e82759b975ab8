/** What a terminal shows when the server is ready, beside the log: what is served, where, and one line to try it. */

/** What there is to say. */
export interface Served {
  readonly version: string;
  readonly model: string;
  readonly quantization: string | undefined;
  readonly sizeBytes: number;
  readonly backend: string;
  readonly slotCount: number;
  readonly contextLength: number;
  /** Of the API. */
  readonly url: string;
  /** Requests need a key. */
  readonly needsKey: boolean;
}

/** @param colours - escape sequences for bold and dim text */
export function banner(served: Served, colours: boolean): string {
  const bold = (text: string) => (colours ? `\x1b[1m${text}\x1b[0m` : text);
  const dim = (text: string) => (colours ? `\x1b[2m${text}\x1b[0m` : text);
  const { version, model, quantization, sizeBytes, backend, slotCount, contextLength, url } =
    served;
  const key = served.needsKey ? " -H 'authorization: Bearer KEY'" : '';
  const facts = [
    ...(quantization === undefined ? [] : [quantization]),
    size(sizeBytes),
    `${slotCount} ${slotCount === 1 ? 'slot' : 'slots'} of ${contextLength.toLocaleString('en')} tokens`,
    backend,
  ];
  const rows = [
    ['model', `${bold(model)} ${dim(facts.join(', '))}`],
    ['API', `${bold(`${url}/v1`)} ${dim(`documents: ${url}/docs`)}`],
    [
      'try',
      `curl ${url}/v1/chat/completions${key} -H 'content-type: application/json' -d '{"messages": [{"role": "user", "content": "Who are you?"}]}'`,
    ],
  ];
  const lines = rows.map(([name = '', text = '']) => `  ${dim(name.padEnd(6))}${text}`);
  return ['', `  ${bold('llama-gguf-inference')} ${version}`, '', ...lines, '', ''].join('\n');
}

function size(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** The address under which this machine reaches a server that listens on all of its addresses. */
export function reachable(address: string): string {
  return address.replace('://0.0.0.0:', '://127.0.0.1:').replace('://[::]:', '://[::1]:');
}
