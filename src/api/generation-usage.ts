import type { PreparedPrompt, TokenUsage } from '../engine/engine.ts';

/** What one choice is known to have used. */
interface ChoiceUsage extends Pick<TokenUsage, 'completionTokenCount'> {
  /** What its sequence told when it ended. */
  readonly end?: TokenUsage;
}

/**
 * What the choices of one generation have used so far: exact for those whose sequences ended, at least so
 * much for the others.
 */
export class GenerationUsage {
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
