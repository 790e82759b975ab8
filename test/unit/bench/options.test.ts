import { describe, expect, it } from 'vitest';
import { benchHelpText, flagNames } from '../../../src/bench/flags.ts';
import { parseBenchOptions } from '../../../src/bench/options.ts';

const url = ['--url', 'http://127.0.0.1:8000'];
const parse = (...argv: string[]) => parseBenchOptions([...url, ...argv]);

describe('parseBenchOptions', () => {
  it("has the Python gateway's defaults", () => {
    expect(parse()).toMatchObject({
      prompt: 'Write a short poem about the sea',
      maxTokens: 128,
      loads: [{ kind: 'closed', concurrency: 1 }],
      warmupCount: 1,
      timeoutMs: 120_000,
      output: 'text',
      gatewayOnly: false,
      workload: 'fixed',
      promptTokenCounts: [undefined],
      roundCount: 1,
      maxErrorRatio: 0,
    });
  });

  it('reads lists, each value once', () => {
    const { loads, promptTokenCounts, workload } = parse(
      ...['--concurrency', '1,4, 4,16', '--prompt-tokens=64,512'],
    );
    expect(loads).toEqual([1, 4, 16].map((concurrency) => ({ kind: 'closed', concurrency })));
    expect(promptTokenCounts).toEqual([64, 512]);
    expect(workload).toBe('unique');
  });

  it('reads rates as an open loop', () => {
    expect(parse('--rate', '0.5,2').loads).toEqual([
      { kind: 'open', requestsPerSecond: 0.5 },
      { kind: 'open', requestsPerSecond: 2 },
    ]);
  });

  it('takes keys from the environment, flags first', () => {
    const argv = [...url, '--peer', 'http://peer/v1', '--api-key', 'from-flag'];
    const options = parseBenchOptions(argv, { server: 'from-env', peer: 'peer-env' });
    expect(options.server.apiKey).toBe('from-flag');
    expect(options.peer?.apiKey).toBe('peer-env');
    expect(options.roundCount).toBe(3);
  });

  it('keeps keys out of the command it shows', () => {
    const argv = [...url, '--api-key=sk-1', '--peer', 'http://p', '--peer-api-key', 'sk-2'];
    const { command } = parseBenchOptions([...argv, '--prompt', "it's"]);
    expect(command).toBe(
      'llama-gguf-inference bench --url http://127.0.0.1:8000 ' +
        "--api-key '***' --peer http://p --peer-api-key '***' --prompt 'it'\\''s'",
    );
  });

  it('chooses another seed each time unless it is given', () => {
    expect(parse('--seed', '7').seed).toBe(7);
    expect(parse().seed).not.toBe(parse().seed);
  });

  it.each([
    [[], /^--url is required/],
    [['--url', 'localhost:8000'], /^--url must be a URL .* received "localhost:8000"$/],
    [[...url, '--concurency', '2'], /^unknown flag --concurency, did you mean --concurrency\?$/],
    [[...url, '--concurrency', '0'], /^--concurrency must be a whole number from 1 .*"0"$/],
    [[...url, '--concurrency', '1,x'], /received "1,x"$/],
    [[...url, '--requests'], /^--requests needs a value$/],
    [[...url, '--requests', '--warmup', '1'], /^--requests needs a value$/],
    [[...url, '--output', 'xml'], /^--output must be one of text, json, html, received "xml"$/],
    [[...url, '--gateway-only=yes'], /^--gateway-only takes no value$/],
    [[...url, '--rate', '1', '--concurrency', '2'], /^--rate and --concurrency exclude/],
    [[...url, '--rate', '0'], /^--rate must be a number above 0/],
    [[...url, '--turns', '2'], /^--turns needs --workload multi-turn$/],
    [[...url, '--workload', 'fixed', '--prompt-tokens', '9'], /^--prompt-tokens needs another/],
    [[...url, '--prompt', 'x', '--workload', 'unique'], /^--prompt needs --workload fixed/],
    [[...url, '--fail-above', '5'], /^--fail-above needs --baseline$/],
    [[...url, '--peer-model', 'm'], /^--peer-model needs --peer$/],
    [[...url, 'stray'], /^unexpected argument "stray"$/],
  ])('refuses %j with exit code 2', (argv, message) => {
    const attempt = () => parseBenchOptions(argv);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ exitCode: 2 }));
  });

  it('never repeats a secret in a complaint', () => {
    expect(() => parseBenchOptions(['--url', 'http://user:pa55@host'])).toThrow(
      /without user name and password$/,
    );
    expect(() => parse('--api-key', 'has space')).toThrow(/printable ASCII without spaces$/);
    expect(() => parseBenchOptions(url, { server: 'bad\nkey' })).toThrow(
      /^BENCH_API_KEY must be printable ASCII without spaces$/,
    );
  });

  it('names every mistake on a line of its own', () => {
    expect(() => parse('--max-tokens', '0', '--seed', '-1')).toThrow(
      /^--max-tokens .*\n--seed .*$/,
    );
  });
});

describe('benchHelpText', () => {
  it.each(flagNames)('explains --%s', (name) => {
    expect(benchHelpText()).toMatch(new RegExp(`^  --${name}( |$)`, 'm'));
  });
});
