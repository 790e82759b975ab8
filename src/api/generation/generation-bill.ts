import type { TokenMeter } from '../../access/limits/token-meter.ts';
import type { UsageRecorder } from '../../access/usage/usage-recorder.ts';
import type { PreparedPrompt, TokenUsage } from '../../engine/generator.ts';

/** Who is to know what a generation uses. */
interface BillDeps {
  readonly meter: TokenMeter;
  readonly recorder: UsageRecorder;
  /** Completion tokens to set aside for each choice. */
  readonly assumedTokenCount: number;
}

/** What one generation sets aside, uses and is charged. */
export class GenerationBill {
  readonly usage: GenerationUsage;
  readonly #deps: BillDeps;
  #recorded = false;

  private constructor(usage: GenerationUsage, deps: BillDeps) {
    this.usage = usage;
    this.#deps = deps;
  }

  /**
   * Sets tokens aside for all choices. Whoever opens a bill settles it.
   * @param choiceCount - of each prompt
   * @throws {GatewayError} what the meter throws
   */
  static async open(
    prompts: readonly PreparedPrompt[],
    choiceCount: number,
    deps: BillDeps,
  ): Promise<GenerationBill> {
    await deps.meter.reserve({
      promptTokenCount: sum(prompts, ({ tokenCount }) => tokenCount),
      completionTokenCount: prompts.length * choiceCount * deps.assumedTokenCount,
    });
    return new GenerationBill(new GenerationUsage(prompts, choiceCount), deps);
  }

  /** Records what was used so far; only the first call counts. Never throws. */
  async record({ failed }: { readonly failed: boolean }): Promise<void> {
    if (this.#recorded) return;
    this.#recorded = true;
    await this.#deps.recorder.record({ ...this.usage.total(), failed });
  }

  /** Charges what was used; a generation that was not recorded failed. Never throws. */
  async settle(): Promise<void> {
    const { promptTokenCount, completionTokenCount } = this.usage.total();
    await this.#deps.meter.settle(promptTokenCount + completionTokenCount);
    await this.record({ failed: true });
  }
}

/** What one choice is known to have used. */
interface ChoiceUsage extends Pick<TokenUsage, 'completionTokenCount'> {
  /** What its sequence told when it ended. */
  readonly end?: TokenUsage;
}

/**
 * What the choices of one generation have used so far: exact for those whose sequences ended, at least so
 * much for the others.
 */
class GenerationUsage {
  readonly #prompts: readonly PreparedPrompt[];
  readonly #choiceCount: number;
  /** By choice, those of one prompt side by side; without an entry nothing was computed. */
  readonly #choices: (ChoiceUsage | undefined)[] = [];

  /** @param choiceCount - of each prompt */
  constructor(prompts: readonly PreparedPrompt[], choiceCount: number) {
    this.#prompts = prompts;
    this.#choiceCount = choiceCount;
  }

  /** @param completionTokenCount - of a piece of the reply, at least; 0 for one of the prompt */
  notePiece(choice: number, completionTokenCount: number): void {
    const before = this.#choices[choice]?.completionTokenCount ?? 0;
    this.#choices[choice] = { completionTokenCount: before + completionTokenCount };
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
    // One that was cancelled while it waited tells zeros.
    const counts = choices.map(({ end }) => end?.promptTokenCount ?? tokenCount);
    const computed = ends.filter(({ promptTokenCount }) => promptTokenCount > 0);
    const [cached = 0, ...others] = computed.map(({ cachedTokenCount }) => cachedTokenCount);
    return {
      promptTokenCount: Math.max(0, ...counts),
      // What one choice computes the others find; that is not what the request found.
      cachedTokenCount: Math.min(cached, ...others),
      completionTokenCount: sum(choices, ({ completionTokenCount }) => completionTokenCount),
      reasoningTokenCount: sum(ends, ({ reasoningTokenCount }) => reasoningTokenCount),
    };
  }
}

function sum<T>(items: readonly T[], count: (item: T) => number): number {
  return items.reduce((all, item) => all + count(item), 0);
}
