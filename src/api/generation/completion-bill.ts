import type { TokenMeter } from '../../access/limits/token-meter.ts';
import type { UsageRecorder } from '../../access/usage/usage-recorder.ts';
import type { PreparedPrompt, TokenUsage } from '../../engine/generator.ts';

/** What a bill is charged to. */
interface BillDeps {
  readonly meter: TokenMeter;
  readonly recorder: UsageRecorder;
  /** Completion tokens to set aside for each choice of a prompt. */
  readonly assumedTokenCountOf: (prompt: PreparedPrompt) => number;
}

/** The tokens that one job sets aside, uses and is charged for. */
export class CompletionBill {
  readonly usage: CompletionUsage;
  readonly #deps: BillDeps;
  #recorded = false;

  private constructor(usage: CompletionUsage, deps: BillDeps) {
    this.usage = usage;
    this.#deps = deps;
  }

  /**
   * Sets tokens aside for all choices. An open bill has to be settled.
   * @param choiceCount - choices of each prompt
   * @throws {GatewayError} what the meter throws
   */
  static async open(
    prompts: readonly PreparedPrompt[],
    choiceCount: number,
    deps: BillDeps,
  ): Promise<CompletionBill> {
    await deps.meter.reserve({
      promptTokenCount: sum(prompts, ({ tokenCount }) => tokenCount),
      completionTokenCount: choiceCount * sum(prompts, deps.assumedTokenCountOf),
    });
    return new CompletionBill(new CompletionUsage(prompts, choiceCount), deps);
  }

  /** Records the usage so far; only the first call counts. Never throws. */
  async record({ failed }: { readonly failed: boolean }): Promise<void> {
    if (this.#recorded) return;
    this.#recorded = true;
    await this.#deps.recorder.record({ ...this.usage.total(), failed });
  }

  /** Charges the usage; a job that was not recorded has failed. Never throws. */
  async settle(): Promise<void> {
    const { promptTokenCount, completionTokenCount } = this.usage.total();
    await this.#deps.meter.settle(promptTokenCount + completionTokenCount);
    await this.record({ failed: true });
  }
}

/** The usage of one choice, as far as it is known. */
interface ChoiceUsage {
  completionTokenCount: number;
  /** The exact counts, from the end of the sequence. */
  end?: TokenUsage;
}

/** Token counts of the choices of one job: exact for ended sequences, lower bounds for running ones. */
export class CompletionUsage {
  readonly #prompts: readonly PreparedPrompt[];
  readonly #choiceCount: number;
  /** By choice, all choices of one prompt side by side; without an entry nothing was computed. */
  readonly #choices: (ChoiceUsage | undefined)[] = [];

  /** @param choiceCount - choices of each prompt */
  constructor(prompts: readonly PreparedPrompt[], choiceCount: number) {
    this.#prompts = prompts;
    this.#choiceCount = choiceCount;
  }

  /** @param completionTokenCount - minimum for a piece of the reply; 0 for a piece of the prompt */
  notePiece(choice: number, completionTokenCount: number): void {
    const usage = this.#choices[choice];
    if (usage === undefined) this.#choices[choice] = { completionTokenCount };
    else usage.completionTokenCount += completionTokenCount;
  }

  noteEnd(choice: number, end: TokenUsage): void {
    this.#choices[choice] = { completionTokenCount: end.completionTokenCount, end };
  }

  /** Every prompt counted once, the completions of all choices added up. */
  total(): TokenUsage {
    const usages = this.#prompts.map((prompt, index) => this.#ofPrompt(prompt, index));
    return {
      promptTokenCount: sum(usages, ({ promptTokenCount }) => promptTokenCount),
      cachedTokenCount: sum(usages, ({ cachedTokenCount }) => cachedTokenCount),
      completionTokenCount: sum(usages, ({ completionTokenCount }) => completionTokenCount),
      reasoningTokenCount: sum(usages, ({ reasoningTokenCount }) => reasoningTokenCount),
    };
  }

  #ofPrompt({ tokenCount }: PreparedPrompt, index: number): TokenUsage {
    const first = index * this.#choiceCount;
    const choices = this.#choices
      .slice(first, first + this.#choiceCount)
      .filter((choice) => choice !== undefined);
    const ends = choices.flatMap(({ end }) => end ?? []);
    // A sequence that was cancelled while it waited reports zeros.
    const counts = choices.map(({ end }) => end?.promptTokenCount ?? tokenCount);
    const computed = ends.filter(({ promptTokenCount }) => promptTokenCount > 0);
    const [cached = 0, ...others] = computed.map(({ cachedTokenCount }) => cachedTokenCount);
    return {
      promptTokenCount: Math.max(0, ...counts),
      // Later choices find in the cache what the first choice computed. Only the minimum was cached before the request.
      cachedTokenCount: Math.min(cached, ...others),
      completionTokenCount: sum(choices, ({ completionTokenCount }) => completionTokenCount),
      reasoningTokenCount: sum(ends, ({ reasoningTokenCount }) => reasoningTokenCount),
    };
  }
}

function sum<T>(items: readonly T[], count: (item: T) => number): number {
  return items.reduce((all, item) => all + count(item), 0);
}
