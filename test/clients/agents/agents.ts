/** The agents: how each finds the server, and how a turn of it is started. Their documentation is docs/agents.md. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { modelId } from '../js/served-models.ts';
import type { AgentHome } from './run-agent.ts';

export interface Agent {
  readonly name: string;
  /** The endpoint that it speaks to. */
  readonly path: string;
  /** A tool of it that reads and changes nothing of this machine but the folder of the test. */
  readonly tool: string;
  /** What the model calls the tool with; each value becomes the only one that it may write. */
  readonly callArguments: Readonly<Record<string, unknown>>;
  /** What the tool returns for them. */
  readonly result: RegExp;
  /** Writes its settings; returns its environment. */
  setUp(home: AgentHome, url: string): Readonly<Record<string, string>>;
  /** @param isFirst - false goes on with the last session */
  turn(prompt: string, isFirst: boolean): readonly [program: string, ...args: string[]];
  /** Lines of its log that speak of something else than the server's replies. */
  readonly otherLines?: RegExp;
  /** Requests that it sends beside the conversation, with tools of their own. */
  readonly otherRequests?: RegExp;
  /** The text that the agent shows as the model's. */
  answer(stdout: string): string;
}

const key = 'sk-none';

const codex: Agent = {
  name: 'Codex',
  path: '/v1/responses',
  tool: 'exec_command',
  callArguments: { cmd: 'echo made by a tool' },
  result: /made by a tool/,
  setUp(home, url) {
    const folder = join(home.home, '.codex');
    mkdirSync(folder);
    writeFileSync(
      join(folder, 'config.toml'),
      `model = "${modelId}"
model_provider = "local"
model_context_window = 32768
approval_policy = "never"
sandbox_mode = "danger-full-access"

[model_providers.local]
name = "llama-gguf-inference"
base_url = "${url}/v1"
wire_api = "responses"
env_key = "LOCAL_API_KEY"
request_max_retries = 0
stream_max_retries = 0
`,
    );
    return { CODEX_HOME: folder, LOCAL_API_KEY: key, RUST_LOG: 'warn' };
  },
  turn: (prompt, isFirst) => [
    ...(['codex', 'exec'] as const),
    ...(isFirst ? [] : ['resume', '--last']),
    ...['--skip-git-repo-check', prompt],
  ],
  otherLines: /PATH aliases|[Mm]odel metadata|Unknown model served|plugin/,
  answer: (stdout) => stdout,
};

const claudeCode: Agent = {
  name: 'Claude Code',
  path: '/v1/messages',
  tool: 'Bash',
  callArguments: { command: 'echo made by a tool', description: 'Says something' },
  result: /made by a tool/,
  setUp(_home, url) {
    return {
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_AUTH_TOKEN: key,
      ANTHROPIC_MODEL: modelId,
      ANTHROPIC_DEFAULT_HAIKU_MODEL: modelId,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      CLAUDE_CODE_MAX_CONTEXT_TOKENS: '65536',
      // It refuses to run all tools as root outside a sandbox; the folder of the test is one.
      IS_SANDBOX: '1',
    };
  },
  turn: (prompt, isFirst) => [
    ...(['claude', '--print', '--debug-to-stderr'] as const),
    ...(isFirst ? [] : ['--continue']),
    ...['--output-format', 'json', '--permission-mode', 'bypassPermissions', prompt],
  ],
  otherLines: /\[DEBUG\]|save config|doesn't recognize the model|model catalog|Skill listing/,
  answer: (stdout) => (JSON.parse(stdout) as { readonly result: string }).result,
};

const opencode: Agent = {
  name: 'opencode',
  path: '/v1/chat/completions',
  tool: 'bash',
  callArguments: { command: 'echo made by a tool', description: 'Says something' },
  result: /made by a tool/,
  setUp(home, url) {
    const provider = {
      npm: '@ai-sdk/openai-compatible',
      options: { baseURL: `${url}/v1`, apiKey: key },
      models: { [modelId]: { limit: { context: 32_768, output: 1024 } } },
    };
    const settings = {
      model: `local/${modelId}`,
      small_model: `local/${modelId}`,
      provider: { local: provider },
      autoupdate: false,
      share: 'disabled',
    };
    writeFileSync(join(home.work, 'opencode.json'), JSON.stringify(settings));
    return { OPENCODE_DISABLE_MODELS_FETCH: '1' };
  },
  turn: (prompt, isFirst) => [
    ...(['opencode', 'run', '--print-logs', '--log-level', 'WARN'] as const),
    ...(isFirst ? [] : ['--continue']),
    prompt,
  ],
  answer: (stdout) => stdout,
};

const qwenCode: Agent = {
  name: 'Qwen Code',
  path: '/v1/chat/completions',
  tool: 'run_shell_command',
  callArguments: { command: 'echo made by a tool', is_background: false },
  result: /made by a tool/,
  setUp: (_home, url) => ({
    OPENAI_BASE_URL: `${url}/v1`,
    OPENAI_API_KEY: key,
    OPENAI_MODEL: modelId,
    QWEN_CODE_SUPPRESS_YOLO_WARNING: '1',
  }),
  turn: (prompt, isFirst) => [
    ...(['qwen', '--yolo'] as const),
    ...(isFirst ? [] : ['--continue']),
    ...['--prompt', prompt],
  ],
  otherRequests: /memory extraction subagent/,
  answer: (stdout) => stdout,
};

export const agents: readonly Agent[] = [codex, claudeCode, opencode, qwenCode];
