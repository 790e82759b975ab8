import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { helpText, parseCommand } from '../../../src/cli/command.ts';
import { flagText } from '../../../src/config/help.ts';
import { settingNames } from '../../../src/config/table.ts';
import { programVersion } from '../../../src/core/package-info.ts';

const cli = fileURLToPath(new URL('../../../src/cli.ts', import.meta.url));

function runCli(args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', cli, ...args],
    { encoding: 'utf8', env: { PATH: process.env.PATH, ...env }, timeout: 50_000 },
  );
  return { status, stdout, stderr };
}

describe('parseCommand', () => {
  it.each([
    [[], { name: 'serve', flags: [] }],
    [['serve'], { name: 'serve', flags: [] }],
    [['--port', '1'], { name: 'serve', flags: ['--port', '1'] }],
    [['serve', '--port', '1'], { name: 'serve', flags: ['--port', '1'] }],
    [['serve', '--help'], { name: 'help' }],
    [['bench', '--url', 'u', '--help'], { name: 'bench', flags: ['--url', 'u', '--help'] }],
    [['usage', '--day', 'd', '-h'], { name: 'usage', flags: ['--day', 'd', '-h'] }],
    [['diagnostics', 'out'], { name: 'diagnostics', flags: ['out'] }],
    [['keys', '--file', 'f', 'list', '-h'], { name: 'keys', flags: ['--file', 'f', 'list', '-h'] }],
    [['-h'], { name: 'help' }],
    [['--version'], { name: 'version' }],
  ])('reads %j', (argv, command) => {
    expect(parseCommand(argv)).toEqual(command);
  });

  it('refuses an unknown command and lists the commands', () => {
    expect(() => parseCommand(['sevre'])).toThrow(
      'unknown command "sevre", did you mean serve? (commands: serve, models, keys, usage, bench, diagnostics)',
    );
  });
});

describe('helpText', () => {
  it.each(settingNames)('shows flag and environment name of %s', (name) => {
    expect(helpText()).toContain(`  ${flagText(name)}  [${name}`);
  });
});

describe('the program', () => {
  it('prints its version', () => {
    expect(runCli(['--version'])).toEqual({ status: 0, stdout: `${programVersion}\n`, stderr: '' });
  });

  it('exits with 2 and one line per problem when values are wrong', () => {
    const { status, stdout, stderr } = runCli(['--port', 'x'], { CTX: '0' });
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^llama-gguf-inference: CTX .* received "0" from the environment$/),
      expect.stringMatching(/^llama-gguf-inference: PORT .* received "x" from a flag$/),
      '',
    ]);
  });

  it('exits with 2 for an unknown command', () => {
    const { status, stderr } = runCli(['dance']);
    expect(status).toBe(2);
    expect(stderr).toBe(
      'llama-gguf-inference: unknown command "dance" (commands: serve, models, keys, usage, bench, diagnostics)\n',
    );
  });
});
