/**
 * Sends the held-out questions to a running server at temperature 0 and prints the share of right answers of
 * each skill. The exit code is 1 if a skill is below its threshold.
 *
 *     npx tsx tools/eval/evaluate.ts --base-url http://127.0.0.1:8000
 *
 * `--samples 100` instead draws 100 answers to greetings and questions about the model at temperature 0.7, prints
 * them, and counts the garbled ones. `--errors` prints wrong answers, `--skill` selects one skill, and
 * `--parity build/train/parity.json` compares prompt lengths and answers with the trainer's own.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Answer, type Check, isCoherent, isRight } from './checks.ts';

interface Question {
  readonly skill: string;
  readonly messages: readonly object[];
  readonly tools?: readonly object[];
  /** True if reasoning must precede the answer. */
  readonly thinking?: boolean;
  readonly check: Check;
}

/** Messages with the trainer's own prompt length and answer. */
interface ParityCase {
  readonly messages: readonly object[];
  readonly promptTokens: number;
  readonly answer: string;
}

interface Completion {
  readonly choices: readonly { readonly message: Answer }[];
  readonly usage: { readonly prompt_tokens: number };
}

/** Minimum percentage of right answers by skill. */
const thresholds: ReadonlyMap<string, number> = new Map([
  ['greeting/self', 95],
  ['repeat', 95],
  ['count', 95],
  ['days/months', 95],
  ['spell', 95],
  ['JSON', 95],
  ['add/subtract', 90],
  ['follow-up', 85],
  ['tool call', 95],
  ['no tool needed', 95],
  ['only unsuitable tools', 95],
]);

const { values: options } = parseArgs({
  options: {
    'base-url': { type: 'string', default: 'http://127.0.0.1:8000' },
    skill: { type: 'string' },
    samples: { type: 'string' },
    errors: { type: 'boolean', default: false },
    parity: { type: 'string' },
  },
});

async function complete(
  { messages, tools, thinking = false }: Omit<Question, 'skill' | 'check'>,
  sampling: object = { temperature: 0 },
) {
  const response = await fetch(`${options['base-url']}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      messages,
      ...sampling,
      max_tokens: 256,
      chat_template_kwargs: { enable_thinking: thinking },
      ...(tools === undefined ? {} : { tools, tool_choice: 'auto' }),
    }),
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const { choices, usage } = (await response.json()) as Completion;
  const answer = choices[0]?.message;
  if (answer === undefined) throw new Error('the completion has no choices');
  return { answer, promptTokenCount: usage.prompt_tokens };
}

function readQuestions(): Question[] {
  const lines = readFileSync(new URL('./held-out.jsonl', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line) as Question);
}

/** @returns true if all skills reach their thresholds */
async function evaluate(questions: readonly Question[]): Promise<boolean> {
  const skills = new Map<string, { right: number; total: number }>();
  for (const question of questions) {
    const { skill, messages, thinking = false, check } = question;
    const { answer } = await complete(question);
    const counts = skills.get(skill) ?? { right: 0, total: 0 };
    skills.set(skill, counts);
    counts.total++;
    const thought = (answer.reasoning_content ?? '') !== '';
    if (isRight(check, answer) && thought === thinking) counts.right++;
    else if (options.errors) {
      const shown = JSON.stringify({ asked: messages.at(-1), check, answer });
      console.log(`wrong, ${skill}: ${shown}`);
    }
  }
  console.log('| skill | right | of | % | threshold |\n| --- | --- | --- | --- | --- |');
  let isGood = true;
  for (const [skill, { right, total }] of skills) {
    const percent = (100 * right) / total;
    const threshold = thresholds.get(skill);
    console.log(`| ${skill} | ${right} | ${total} | ${percent.toFixed(0)} | ${threshold ?? '–'} |`);
    isGood &&= percent >= (threshold ?? 0);
  }
  return isGood;
}

/** @returns true if all prompt lengths and at least nine of ten answers equal the trainer's */
async function compare(cases: readonly ParityCase[]): Promise<boolean> {
  let equalPrompts = 0;
  let equalAnswers = 0;
  for (const { messages, promptTokens, answer: expected } of cases) {
    const { answer, promptTokenCount } = await complete({ messages });
    if (promptTokenCount === promptTokens) equalPrompts++;
    if (answer.content === expected) equalAnswers++;
    else console.log(`differs: ${JSON.stringify({ expected, received: answer.content })}`);
  }
  const total = cases.length;
  console.log(`parity: ${equalPrompts}/${total} prompt lengths, ${equalAnswers}/${total} answers`);
  return equalPrompts === total && equalAnswers >= 0.9 * total;
}

/** @returns true if no sampled answer is garbled */
async function sample(asked: readonly Question[], count: number): Promise<boolean> {
  let coherentCount = 0;
  for (let seed = 0; seed < count; seed++) {
    const question = asked[seed % asked.length];
    if (question === undefined) return false;
    const { answer } = await complete(question, { temperature: 0.7, seed });
    const coherent = isCoherent(answer);
    if (coherent) coherentCount++;
    const prompt = (question.messages.at(-1) as { readonly content: string }).content;
    console.log(`${coherent ? 'ok     ' : 'garbled'} ${prompt.trim()} -> ${answer.content}`);
  }
  console.log(`coherent: ${coherentCount} of ${count}`);
  return coherentCount === count;
}

async function run(): Promise<boolean> {
  if (options.samples !== undefined) {
    const asked = readQuestions().filter(({ skill }) => skill === 'greeting/self');
    return sample(asked, Number(options.samples));
  }
  if (options.parity !== undefined) {
    return compare(JSON.parse(readFileSync(options.parity, 'utf8')) as ParityCase[]);
  }
  return evaluate(readQuestions().filter(({ skill }) => skill === (options.skill ?? skill)));
}

process.exitCode = (await run()) ? 0 : 1;
