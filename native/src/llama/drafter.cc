#include "llama/drafter.h"

#include <common/common.h>
#include <common/speculative.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace {

using Clock = std::chrono::steady_clock;

// The part of the step target that a draft model may spend on tokens it has not seen.
constexpr double kCatchUpPart = 0.25;
// The part of all time that it may spend on them where drafts do not pay so far, and how much of
// that can be saved up, in milliseconds.
constexpr double kTrialPart = 0.03;
constexpr double kMaxTrialMs = 500;

// Families pad their vocabularies to different sizes, and some rename the first control tokens.
constexpr int32_t kMaxExtraTokens = 128;
constexpr llama_token kFirstComparedToken = 5;

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

ContextOptions DraftContextOptions(const DraftOptions& options, ContextOptions engine) {
  engine.model = options.model;
  engine.n_drafted = 0;
  engine.background_prefill = false;
  return engine;
}

// llama.cpp numbers its sequences from 0 to the slots, so cached prefixes get no further ids.
CacheLimits DraftCacheLimits(const Context& context, int32_t n_slots) {
  CacheLimits limits = context.cache_limits();
  limits.n_ids = n_slots;
  return limits;
}

common_params_speculative Params(const DraftOptions& options, llama_context* target,
                                 llama_context* draft) {
  common_params_speculative params;
  if (options.kind == DraftKind::kModel) {
    params.types = {COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE};
    params.draft.ctx_tgt = target;
    params.draft.ctx_dft = draft;
    params.draft.n_max = options.n_max;
    // Drafter drops short drafts, because it must know what was computed for them.
    params.draft.n_min = 0;
    params.draft.p_min = options.p_min;
  } else {
    params.types = {COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE};
    params.ngram_simple.size_n = static_cast<uint16_t>(options.n_gram);
    // A draft never has fewer tokens than the n-gram that was looked up.
    params.ngram_simple.size_m = static_cast<uint16_t>(std::max(options.n_max, options.n_gram));
  }
  return params;
}

}  // namespace

std::string DraftProblem(const llama_model* model, const llama_model* draft) {
  if (llama_model_is_recurrent(draft) || llama_model_is_hybrid(draft)) {
    return "is a recurrent or hybrid model, whose memory cannot take a draft back";
  }
  const llama_vocab* ours = llama_model_get_vocab(model);
  const llama_vocab* theirs = llama_model_get_vocab(draft);
  const auto differs = [](const std::string& what, const std::string& their_value,
                          const std::string& our_value) {
    return "has another vocabulary than the model: " + what + " is " + their_value +
           " instead of " + our_value;
  };
  if (llama_vocab_type(ours) != llama_vocab_type(theirs)) {
    return differs("the type of the tokenizer", std::to_string(llama_vocab_type(theirs)),
                   std::to_string(llama_vocab_type(ours)));
  }
  const auto ends = [](bool adds, llama_token token) {
    return adds ? "token " + std::to_string(token) : "none";
  };
  const auto first = [&](const llama_vocab* vocab) {
    return ends(llama_vocab_get_add_bos(vocab), llama_vocab_bos(vocab));
  };
  const auto last = [&](const llama_vocab* vocab) {
    return ends(llama_vocab_get_add_eos(vocab), llama_vocab_eos(vocab));
  };
  if (first(ours) != first(theirs)) {
    return differs("what begins a text", first(theirs), first(ours));
  }
  if (last(ours) != last(theirs)) return differs("what ends a text", last(theirs), last(ours));
  const int32_t n_ours = llama_vocab_n_tokens(ours);
  const int32_t n_theirs = llama_vocab_n_tokens(theirs);
  if (std::abs(n_ours - n_theirs) > kMaxExtraTokens) {
    return differs("the number of tokens", std::to_string(n_theirs), std::to_string(n_ours));
  }
  for (llama_token token = kFirstComparedToken; token < std::min(n_ours, n_theirs); ++token) {
    const char* our_text = llama_vocab_get_text(ours, token);
    const char* their_text = llama_vocab_get_text(theirs, token);
    if (std::strcmp(our_text, their_text) != 0) {
      return differs("token " + std::to_string(token), '"' + std::string(their_text) + '"',
                     '"' + std::string(our_text) + '"');
    }
  }
  return "";
}

void Drafter::Deleter::operator()(common_speculative* speculative) const {
  common_speculative_free(speculative);
}

Drafter::DraftModel::DraftModel(const DraftOptions& options, const ContextOptions& engine,
                                double step_target_ms, const std::atomic<bool>* aborting)
    : context(DraftContextOptions(options, engine), aborting),
      cache(DraftCacheLimits(context, engine.n_slots)),
      pacer(kCatchUpPart * step_target_ms),
      n_reach(std::min(engine.n_ctx, llama_model_n_ctx_train(options.model))),
      n_vocab(llama_vocab_n_tokens(llama_model_get_vocab(options.model))) {}

Drafter::Drafter(const DraftOptions& options, const ContextOptions& engine, double step_target_ms,
                 llama_context* target, const std::atomic<bool>* aborting)
    : options_(options),
      n_target_vocab_(llama_vocab_n_tokens(llama_model_get_vocab(engine.model))),
      histories_(engine.n_slots),
      drafts_(engine.n_slots) {
  if (options.kind == DraftKind::kModel) {
    model_.emplace(options, engine, step_target_ms, aborting);
    if (!model_->cache.limits().cuts) {
      throw std::runtime_error("the memory of the draft model cannot take a draft back");
    }
  }
  common_params_speculative params =
      Params(options, target, model_ ? model_->context.get() : nullptr);
  speculative_.reset(common_speculative_init(params, engine.n_slots));
  if (!speculative_) throw std::runtime_error("speculative decoding could not be set up");
}

Drafter::~Drafter() = default;

void Drafter::Draft(const std::vector<DraftCall>& calls, const Take& take) {
  n_drafted_ = 0;
  drafting_ms_ = 0;
  if (model_) {
    n_catch_up_ = model_->pacer.Chunk(0, 0);
    n_draft_cells_ = static_cast<int32_t>(calls.size()) * (options_.n_max + 1);
    const double passed_ms = MillisecondsSince(std::exchange(last_call_at_, Clock::now()));
    trial_ms_ = std::min(kMaxTrialMs, trial_ms_ + kTrialPart * passed_ms);
    SpareId(calls);
  }

  struct Asked {
    const DraftCall* call;
    CacheId id;
  };
  std::vector<Asked> asked;
  for (const DraftCall& call : calls) {
    if (call.max_tokens < options_.n_min) continue;
    auto id = static_cast<CacheId>(asked.size());
    if (model_ && !CatchUp(call, &id)) continue;
    asked.push_back({&call, id});
    auto& history = histories_[id];
    // Only n-gram lookup reads the history.
    if (!model_) history.assign(call.tokens.begin(), call.tokens.end() - 1);
    drafts_[id].clear();
    common_speculative_draft_params& params =
        common_speculative_get_draft_params(speculative_.get(), id);
    params.drafting = true;
    params.n_max = call.max_tokens;
    params.pos0 = static_cast<llama_pos>(call.tokens.size()) - 1;
    params.id_last = call.tokens.back();
    params.prompt = &history;
    params.result = &drafts_[id];
  }
  if (asked.empty()) return;

  const Clock::time_point begin = Clock::now();
  common_speculative_draft(speculative_.get());
  if (model_) model_->context.ComputedElsewhere();
  for (const auto& [call, id] : asked) {
    std::vector<Token>& draft = drafts_[id];
    if (model_) NoteDraft(id, call->tokens.back(), draft);
    // Tokens that only pad the draft model's vocabulary would be refused.
    const auto unknown = std::ranges::find_if(
        draft, [this](Token token) { return token < 0 || token >= n_target_vocab_; });
    draft.erase(unknown, draft.end());
    draft.resize(std::min(draft.size(), static_cast<size_t>(call->max_tokens)));
    if (static_cast<int32_t>(draft.size()) < options_.n_min) draft.clear();
    n_drafted_ += static_cast<int32_t>(draft.size());
    // A look-up that finds nothing costs nothing worth counting.
    if (model_ || !draft.empty()) take(call->id, draft);
  }
  if (model_) drafting_ms_ += MillisecondsSince(begin);
}

bool Drafter::CatchUp(const DraftCall& call, CacheId* id) {
  DraftModel& model = *model_;
  const auto n_known = static_cast<int32_t>(call.tokens.size());
  if (n_known + call.max_tokens > model.n_reach || call.tokens.back() >= model.n_vocab)
    return false;
  *id = IdFor(call);
  const int32_t n_cached = model.cache.n_cached(*id);
  const int32_t n_missing = n_known - 1 - n_cached;
  // Up to a draft and the token after it are part of the cost of drafting.
  const bool is_new = n_missing > options_.n_max + 1;
  if (is_new && call.is_trial && trial_ms_ <= 0) return false;
  const int32_t n = is_new ? std::min(n_missing, n_catch_up_) : n_missing;
  const Clock::time_point begin = Clock::now();
  if (!MakeRoom(n) || !Compute(*id, call.tokens.subspan(n_cached, n))) return false;
  const double ms = MillisecondsSince(begin);
  if (!is_new) {
    drafting_ms_ += ms;
  } else if (n > 0) {
    n_catch_up_ -= n;
    model.pacer.Observe(0, n, ms);
    if (call.is_trial) trial_ms_ -= ms;
  }
  return n == n_missing;
}

CacheId Drafter::IdFor(const DraftCall& call) {
  PrefixCache& cache = model_->cache;
  const auto n_known = static_cast<int32_t>(call.tokens.size());
  const auto found = model_->ids.find(call.id);
  if (found == model_->ids.end()) {
    const CacheId id = cache.Open(*call.scope, n_known, cache.Find(call.tokens, *call.scope));
    model_->ids.emplace(call.id, id);
    return id;
  }
  const CacheId id = found->second;
  cache.Cut(id, std::min(CommonPrefix(cache.cached(id), call.tokens), n_known - 1));
  return id;
}

void Drafter::SpareId(const std::vector<DraftCall>& calls) {
  auto& ids = model_->ids;
  const auto is_new = [&](const DraftCall& call) { return !ids.contains(call.id); };
  const auto n_new = static_cast<int32_t>(std::ranges::count_if(calls, is_new));
  for (auto at = ids.begin();
       at != ids.end() && model_->cache.n_open() + n_new > model_->cache.limits().n_ids;) {
    const auto is_it = [&](const DraftCall& call) { return call.id == at->first; };
    if (std::ranges::any_of(calls, is_it)) {
      ++at;
    } else {
      model_->cache.Keep(at->second);
      at = ids.erase(at);
    }
  }
}

bool Drafter::MakeRoom(int32_t n_tokens) {
  PrefixCache& cache = model_->cache;
  const int32_t max_cells = cache.limits().n_cells - n_tokens - n_draft_cells_;
  while (cache.n_used() > max_cells && cache.EvictOne()) {
  }
  ApplyEdits();
  return cache.n_used() <= max_cells;
}

bool Drafter::Compute(CacheId id, std::span<const Token> tokens) {
  DraftModel& model = *model_;
  const auto is_known = [&](Token token) { return token < model.n_vocab; };
  if (!std::ranges::all_of(tokens, is_known)) return false;
  const auto n_batch = static_cast<size_t>(llama_n_batch(model.context.get()));
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min(tokens.size(), n_batch));
    model.batch.Clear();
    model.batch.Add(id, model.cache.n_cached(id), part, 0);
    if (model.context.Decode(&model.batch) != DecodeStatus::kOk) {
      // The content of the cells is unknown now.
      model.context.Apply({CacheEdit::Kind::kClear, id});
      model.cache.Lost(id);
      return false;
    }
    model.cache.Extend(id, part);
    tokens = tokens.subspan(part.size());
  }
  return true;
}

void Drafter::ApplyEdits() {
  for (const CacheEdit& edit : model_->cache.TakeEdits()) {
    if (model_->context.Apply(edit)) continue;
    model_->cache.Lost(edit.id);
    model_->cache.ForbidCuts();
  }
}

void Drafter::NoteDraft(CacheId id, Token last, const std::vector<Token>& draft) {
  DraftModel& model = *model_;
  // llama.cpp does not compute the last token of a draft, unless the draft would have gone on.
  llama_memory_t memory = llama_get_memory(model.context.get());
  const int32_t n_computed = llama_memory_seq_pos_max(memory, id) + 1 - model.cache.n_cached(id);
  if (n_computed < 1) return;
  std::vector<Token> computed{last};
  computed.insert(computed.end(), draft.begin(), draft.end());
  const auto n = std::min(computed.size(), static_cast<size_t>(n_computed));
  model.cache.Extend(id, std::span(computed).first(n));
  if (n < static_cast<size_t>(n_computed)) {
    model.context.Apply({CacheEdit::Kind::kCut, id, -1, model.cache.n_cached(id)});
  }
}

void Drafter::Forget(SequenceId id) {
  if (!model_) return;
  const auto found = model_->ids.find(id);
  if (found == model_->ids.end()) return;
  model_->cache.Keep(found->second);
  model_->ids.erase(found);
}
