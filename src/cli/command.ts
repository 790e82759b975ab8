import { settingsHelp } from '../config/help.ts';
import { nearest } from '../core/nearest.ts';
import { quote } from '../core/quote.ts';
import { StartError } from '../core/start-error.ts';

/** The requested command. */
export type Command =
  | {
      readonly name:
        | 'serve'
        | 'models'
        | 'keys'
        | 'usage'
        | 'bench'
        | 'diagnostics'
        | 'gateway-process';
      readonly flags: readonly string[];
    }
  | { readonly name: 'help' }
  | { readonly name: 'version' };

const commandNames = ['serve', 'models', 'keys', 'usage', 'bench', 'diagnostics'];

/** A first word that can be nothing but a model. */
const namesModel = /^(hf:|https?:)|\.gguf$/i;

/**
 * Reads the command, which comes before its flags; `serve` when there is none.
 * @throws {StartError} exit code 2 for an unknown command
 */
export function parseCommand(argv: readonly string[]): Command {
  const [first, ...rest] = argv;
  // These commands have flags of their own, with `--help`.
  if (first === 'bench' || first === 'keys' || first === 'usage' || first === 'models') {
    return { name: first, flags: rest };
  }
  // Internal: how the supervisor starts its child.
  if (first === 'gateway-process') return { name: first, flags: rest };
  const names = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined);
  if (first === 'help' || names.includes('--help') || names.includes('-h')) return { name: 'help' };
  const asksVersion = ['--version', '-v', '-V'].some((name) => names.includes(name));
  if (first === 'version' || asksVersion) return { name: 'version' };
  if (first === undefined || first.startsWith('-')) return { name: 'serve', flags: argv };
  if (first === 'serve' || first === 'diagnostics') return { name: first, flags: rest };
  if (namesModel.test(first)) return { name: 'serve', flags: argv };
  const meant = nearest(first, commandNames);
  throw new StartError(
    2,
    `unknown command ${quote(first)}${meant === undefined ? '' : `, did you mean ${meant}?`} ` +
      `(commands: ${commandNames.join(', ')})`,
  );
}

/** The text of `--help`. */
export function helpText(): string {
  return `Usage: llama-gguf-inference [serve] [MODEL] [flags]

Serves a GGUF model to OpenAI-compatible clients.

Commands:
  serve      load a model and answer requests (default). MODEL is a GGUF file,
             hf:OWNER/REPOSITORY[:QUANTIZATION], the URL of a file, or the name of a model on
             this machine; without one, a small model that comes with the program
  models     list, download and delete models; \`models --help\` lists its commands
  keys       create, list and change API keys; \`keys --help\` lists its commands
  usage      show what each API key used; \`usage --help\` lists its flags
  bench      measure a running server; \`bench --help\` lists its flags
  diagnostics [DIR]
             write a folder and an archive with the setup and the state of the server to DIR
             (default: here); takes the flags of serve

  --help     this text
  --version  the version

Each setting is a flag or an environment variable, named in brackets. Flags win over the
environment, the environment wins over the --config file. An empty value counts as not set.

${settingsHelp()}

Exit codes: 0 stopped on request, 1 failure at run time, 2 wrong flags or values, or no such model
file, 130 and 143 after a second SIGINT or SIGTERM.
`;
}
