import { type Static, Type } from 'typebox';

/** vLLM's fields of one choice. */
export const choiceExtraFields = {
  /** With `return_token_ids`: all sampled tokens, an end token included. */
  token_ids: Type.Optional(Type.Array(Type.Integer())),
  /** With `stop_token_ids` or `include_stop_str_in_output`: the stop string or stop token that ended the choice. */
  stop_reason: Type.Optional(Type.Union([Type.String(), Type.Integer(), Type.Null()])),
};

/** With `return_token_ids`: the tokens of the prompt. */
export const PromptTokenIds = Type.Optional(Type.Array(Type.Integer()));

/** Token counts of one choice so far, with `continuous_usage_stats`. */
export const RunningUsage = Type.Object({
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  total_tokens: Type.Integer(),
});
export type RunningUsage = Static<typeof RunningUsage>;

/** Ids and counts of one choice of a reply, as they become known. */
export class ChoiceTokens {
  promptIds: readonly number[] = [];
  readonly ids: number[] = [];

  /** Adds the ids that come with an event, if there are any. */
  add(ids: readonly number[] | undefined): void {
    if (ids !== undefined) this.ids.push(...ids);
  }

  usage(): RunningUsage {
    const [prompt, completion] = [this.promptIds.length, this.ids.length];
    return {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
    };
  }
}
