// Drafts the next tokens of sequences through llama.cpp's speculative decoding: by looking up where
// the last tokens stood before (n-grams), or with a smaller model. The model itself verifies every
// draft, so that a poor one costs time and never changes a text. Engine thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "llama/context.h"
#include "schedule/prefix_cache.h"
#include "schedule/step_pacer.h"
#include "schedule/step_plan.h"

struct common_speculative;

enum class DraftKind { kNone, kNgram, kModel };

struct DraftOptions {
  DraftKind kind = DraftKind::kNone;
  // Tokens of a draft; 1 <= n_min <= n_max.
  int32_t n_min = 1;
  int32_t n_max = 8;
  // Length of the n-gram that is looked up.
  int32_t n_gram = 4;
  // Minimum probability of a draft token by the draft model.
  float p_min = 0.75f;
  // The draft model, borrowed like the engine's.
  llama_model* model = nullptr;

  // Calls visit(name, &field) for each option that a caller of the addon may set.
  template <class Visitor>
  void VisitOptions(const Visitor& visit) {
    visit("kind", &kind);
    visit("minTokens", &n_min);
    visit("maxTokens", &n_max);
    visit("ngramSize", &n_gram);
    visit("minProbability", &p_min);
    visit("model", &model);
  }
};

// Why `draft` cannot draft for `model`, as the end of a sentence about it; empty when it can. Takes
// a pass over the vocabularies. Any thread.
std::string DraftProblem(const llama_model* model, const llama_model* draft);

class Drafter {
 public:
  // `engine` is what the engine's own context was made with; a draft model gets one of the same
  // shape. `target` and `aborting` must outlive this object. Throws std::exception when memory does
  // not suffice.
  Drafter(const DraftOptions& options, const ContextOptions& engine, double step_target_ms,
          llama_context* target, const std::atomic<bool>* aborting);
  ~Drafter();

  // Drafts for each call where it can, and passes the result to `take`; an empty draft where a
  // draft model found none. A draft model first computes the tokens of a sequence that it has not
  // seen, in several steps if there are many.
  using Take = std::function<void(SequenceId, std::vector<Token>)>;
  void Draft(const std::vector<DraftCall>& calls, const Take& take);

  // The sequence has ended.
  void Forget(SequenceId id);

  // Tokens and time of the draft model in the last Draft, 0 ms where it was not used. Catching up
  // with long prompts does not count.
  int32_t n_drafted() const { return n_drafted_; }
  double drafting_ms() const { return drafting_ms_; }

 private:
  // The memory of a draft model: the tokens of each sequence that it has drafted for.
  struct DraftModel {
    DraftModel(const DraftOptions& options, const ContextOptions& engine, double step_target_ms,
               const std::atomic<bool>* aborting);

    Context context;
    TokenBatch batch;
    PrefixCache cache;
    // How much of a prompt it computes in a step.
    StepPacer pacer;
    // Tokens a sequence may have, and ids it knows.
    int32_t n_reach;
    int32_t n_vocab;
    std::unordered_map<SequenceId, CacheId> ids;
  };

  // Whether the draft model has seen all of a sequence but the last token.
  bool CatchUp(const DraftCall& call, CacheId* id);
  // The id the draft model knows a sequence by, holding nothing but its tokens.
  CacheId IdFor(const DraftCall& call);
  // Gives up the ids of sequences without a call, such as paused ones, until one is free.
  void SpareId(const std::vector<DraftCall>& calls);
  // Whether there are cells for `n_tokens`, and for the drafts of this step.
  bool MakeRoom(int32_t n_tokens);
  bool Compute(CacheId id, std::span<const Token> tokens);
  void ApplyEdits();
  // Records what the draft model's memory holds after a draft.
  void NoteDraft(CacheId id, Token last, const std::vector<Token>& draft);

  struct Deleter {
    void operator()(common_speculative* speculative) const;
  };

  const DraftOptions options_;
  const int32_t n_target_vocab_;
  std::optional<DraftModel> model_;
  std::unique_ptr<common_speculative, Deleter> speculative_;
  // By call: all known tokens but the last, in which n-grams are looked up; and the draft.
  std::vector<std::vector<Token>> histories_;
  std::vector<std::vector<Token>> drafts_;
  // Tokens the draft model may still catch up with in this step, and cells its drafts need.
  int32_t n_catch_up_ = 0;
  int32_t n_draft_cells_ = 0;
  // Time that catching up for trials may still take: a small part of all time that passes.
  double trial_ms_ = 0;
  std::chrono::steady_clock::time_point last_call_at_ = std::chrono::steady_clock::now();
  int32_t n_drafted_ = 0;
  double drafting_ms_ = 0;
};
