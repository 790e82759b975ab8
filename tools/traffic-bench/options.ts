/** Command line of `npm run bench:traffic`: options, defaults, help text. */
import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type ShapeName, shapeNames } from '../bench-models/shapes.ts';
import { type WeightName, weightNames } from '../bench-models/weights.ts';
import { count, oneOf, UsageError } from '../fixtures/bench-flags.ts';
import { type MixName, mixNames } from './mixes.ts';

/** One gateway: this checkout's or another's, with settings of its own. */
export interface OwnServer {
  readonly name: string;
  /** dist/cli.js of another checkout; undefined: of this one. */
  readonly program: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** How conversations arrive, before the peer's saturation is known. */
export type WantedArrivals =
  | { readonly kind: 'closed'; readonly userCount: number }
  | { readonly kind: 'open'; readonly loadPercent: number };

export interface TrafficOptions {
  readonly mixNames: readonly MixName[];
  readonly arrivals: readonly WantedArrivals[];
  readonly slotCount: number;
  /** Conversations of each user, or the equivalent of them. */
  readonly conversationsPerUser: number;
  readonly roundCount: number;
  readonly threadCount: number;
  readonly modelPath: string | undefined;
  readonly shapeName: ShapeName;
  readonly weightName: WeightName;
  readonly ownServers: readonly OwnServer[];
  readonly withPeer: boolean;
  readonly seed: string;
  readonly savePath: string | undefined;
  readonly jsonPath: string | undefined;
  readonly chartPath: string | undefined;
}

export const helpText = `Usage: npm run bench:traffic -- [options]

Sends the traffic that people have, drawn from a seed, to this server and to llama-server in turn, and prints the
throughput, the time to the first token and the gaps between tokens as ratios of the two.

  --mixes LIST              kinds of traffic: ${mixNames.join(', ')} (chat)
  --users LIST              numbers of users that begin a conversation when the last one has ended (4,8)
  --loads LIST              conversations that arrive by chance, at these shares of the requests that llama-server
                            answers at most, in percent, such as 50,80,100 (none)
  --slots N                 slots of every server (4)
  --conversations N         conversations of each user (2)
  --rounds N                measured rounds; medians are printed (5)
  --threads N               threads of every server (2)
  --model PATH              GGUF file
  --shape NAME              without one: random weights in the size of ${shapeNames.join(', ')} (135m)
  --weights TYPE            their type: ${weightNames.join(', ')} (Q8_0)
  --own NAME[@CLI][,K=V...] a gateway, with settings as environment variables, and of another checkout by the path of
                            its dist/cli.js; may be repeated (ours)
  --no-peer                 do not measure llama-server
  --seed TEXT               of the draws (1)
  --save FILE               keeps every measurement there; a run that was cut goes on with the same options
  --json FILE               writes all numbers and a description of the machine
  --chart FILE              writes the ratios as an SVG
  --help
`;

/**
 * Parses the command line; null asks for the help text.
 * @throws {UsageError} with the flag, the expected values and the received one
 */
export function parseOptions(argv: readonly string[]): TrafficOptions | null {
  const { values } = parse(argv);
  if (values.help === true) return null;
  const arrivals: WantedArrivals[] = [
    ...list(values.users).map((text) => ({
      kind: 'closed' as const,
      userCount: count('--users', text),
    })),
    ...list(values.loads).map((text) => ({
      kind: 'open' as const,
      loadPercent: count('--loads', text),
    })),
  ];
  const withPeer = values['no-peer'] !== true;
  if (!withPeer && arrivals.some(({ kind }) => kind === 'open')) {
    throw new UsageError('--loads needs llama-server: its saturation is 100 %');
  }
  const ownServers = (values.own ?? ['ours']).map(ownServer);
  if (new Set(ownServers.map(({ name }) => name)).size < ownServers.length) {
    throw new UsageError('--own takes each name once');
  }
  return {
    mixNames: list(values.mixes).map((text) => oneOf('--mixes', mixNames, text)),
    arrivals,
    slotCount: count('--slots', values.slots),
    conversationsPerUser: count('--conversations', values.conversations),
    roundCount: count('--rounds', values.rounds),
    threadCount: count('--threads', values.threads),
    modelPath: values.model === undefined ? undefined : resolve(values.model),
    shapeName: oneOf('--shape', shapeNames, values.shape),
    weightName: oneOf('--weights', weightNames, values.weights),
    ownServers,
    withPeer,
    seed: values.seed,
    savePath: values.save,
    jsonPath: values.json,
    chartPath: values.chart,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        mixes: { type: 'string', default: 'chat' },
        users: { type: 'string', default: '4,8' },
        loads: { type: 'string', default: '' },
        slots: { type: 'string', default: '4' },
        conversations: { type: 'string', default: '2' },
        rounds: { type: 'string', default: '5' },
        threads: { type: 'string', default: '2' },
        model: { type: 'string' },
        shape: { type: 'string', default: '135m' },
        weights: { type: 'string', default: 'Q8_0' },
        own: { type: 'string', multiple: true },
        'no-peer': { type: 'boolean' },
        seed: { type: 'string', default: '1' },
        save: { type: 'string' },
        json: { type: 'string' },
        chart: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function ownServer(text: string): OwnServer {
  const [head = '', ...settings] = text.split(',');
  const [name = '', program] = head.split('@');
  if (!/^[\w.-]+$/.test(name) || name === 'llama-server') {
    throw new UsageError(`--own takes NAME[@CLI][,K=V...], received "${text}"`);
  }
  if (program !== undefined && !existsSync(program)) {
    throw new UsageError(`--own: ${program} does not exist`);
  }
  const env = settings.map((setting): [string, string] => {
    const match = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(setting);
    if (match === null) throw new UsageError(`--own takes settings as K=V, received "${setting}"`);
    return [match[1] ?? '', match[2] ?? ''];
  });
  const path = program === undefined || isAbsolute(program) ? program : resolve(program);
  return { name, program: path, env: Object.fromEntries(env) };
}

function list(text: string): string[] {
  return text.split(',').filter((item) => item !== '');
}
