#include "engine/engine.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <numeric>
#include <utility>

namespace {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

// Passes over logits from which several threads choose faster than one: waking them costs some 50
// microseconds.
constexpr int64_t kParallelEffort = 1'000'000;

SchedulerLimits LimitsOf(const EngineOptions& options, bool drafts,
                         const BackgroundContext* background, Context* context) {
  return {
      .n_slots = options.context.n_slots,
      .n_batch = static_cast<int32_t>(llama_n_batch(context->get())),
      .n_ubatch = static_cast<int32_t>(llama_n_ubatch(context->get())),
      .step_target_ms = options.step_target_ms,
      .n_scored_rows = context->n_scored_rows(),
      .n_drafted = drafts ? options.context.n_drafted : 0,
      .n_draft_min = options.drafts.n_min,
      .n_draft_max = options.drafts.n_max,
      .n_lane_tokens = background == nullptr ? 0 : context->n_movable(),
      .n_lane_sequences = background == nullptr ? 1 : background->max_rows(),
      .n_worth_moves = context->n_worth_moves(kWorthPasses),
      .cache = context->cache_limits(),
  };
}

constexpr char kNoRoom[] = "the KV cache has no room for the sequence";

// Requests that arrive together are prefilled together, which takes a fraction of the time that one
// after the other does: where others are expected after a rest, the first one waits this long for
// the next, and so on, and in any case as long as prompts are being prepared, but no longer than a
// step may take.
constexpr std::chrono::microseconds kQuiet{3000};
constexpr std::chrono::microseconds kLongestGathering{50000};

Clock::duration TextInterval(const EngineOptions& options) {
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double, std::milli>(options.stream_interval_ms));
}

std::string ReasonOf(const std::exception& error) {
  return error.what()[0] == '\0' ? "no token could be chosen" : error.what();
}

// Sequences whose longest guesses a step has room for. More of them keep the machine busy enough.
constexpr int32_t kMostDrafting = 4;

// A batch must have room for a token of every slot.
EngineOptions Checked(EngineOptions options) {
  options.context.n_batch = std::max(options.context.n_batch, options.context.n_slots);
  if (options.drafts.kind != DraftKind::kNone) {
    options.context.n_drafted = kMostDrafting * options.drafts.n_max;
  }
  return options;
}

}  // namespace

Engine::Engine(const Model* model, EngineOptions options, EventSink sink)
    : model_(model),
      options_(Checked(options)),
      sink_(std::move(sink)),
      bursts_(kQuiet),
      samplers_(std::min(options_.n_sampling_threads, options_.context.n_slots)),
      thread_([this] { Run(); }) {}

Engine::~Engine() {
  RequestClose();
  Join();
}

void Engine::Post(Message message) { mailbox_.Push(std::move(message)); }

std::shared_ptr<void> Engine::Announce() {
  n_announced_->fetch_add(1, std::memory_order_relaxed);
  return {nullptr,
          [count = n_announced_](void*) { count->fetch_sub(1, std::memory_order_relaxed); }};
}

void Engine::RequestClose() {
  closing_.store(true, std::memory_order_relaxed);
  mailbox_.Push(Close{});
}

void Engine::Join() {
  const std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

void Engine::Run() noexcept {
  std::optional<std::string> failure;
  try {
    RunSteps();
  } catch (const std::exception& error) {
    failure = error.what();
  } catch (...) {
    failure = "an exception of unknown type";
  }
  EndEverything(failure);
  drafter_.reset();
  background_context_.reset();
  context_.reset();
  Tell(Stopped{});
  statistics_.Publish(scheduler_ ? &*scheduler_ : nullptr);
  Flush();
}

void Engine::RunSteps() {
  context_.emplace(options_.context, &closing_);
  std::string no_drafts = StartDrafter();
  std::string no_background_prefill = OpenBackgroundContext();
  scheduler_.emplace(LimitsOf(options_, drafter_.has_value(),
                              background_context_ ? &*background_context_ : nullptr, &*context_));
  if (background_context_) {
    background_prefill_.emplace(&*background_context_, &*context_, &*scheduler_, &sequences_,
                                &statistics_);
  }
  Tell(Started{
      .n_batch = static_cast<int32_t>(llama_n_batch(context_->get())),
      .n_ubatch = static_cast<int32_t>(llama_n_ubatch(context_->get())),
      .unified_kv = context_->unified(),
      .no_drafts = std::move(no_drafts),
      .prompt_lane = background_context_.has_value(),
      .no_prompt_lane = std::move(no_background_prefill),
  });
  bool idle = false;
  while (!closing_.load(std::memory_order_relaxed)) {
    if (idle) scheduler_->CheckIntegrity();
    statistics_.Publish(scheduler_ ? &*scheduler_ : nullptr);
    if (idle || Clock::now() >= flush_at_) Flush();
    for (Message& message : TakeMessages(idle)) Handle(std::move(message));
    idle = !Step();
  }
}

std::vector<Message> Engine::TakeMessages(bool idle) {
  const auto more_to_come = [this] { return n_announced_->load(std::memory_order_relaxed) > 0; };
  auto messages = idle ? mailbox_.WaitAndTakeAll(bursts_.quiet(), kLongestGathering, more_to_come)
                       : mailbox_.TakeAll();
  int32_t n_submits = 0;
  for (const Message& message : messages) {
    const auto* submit = std::get_if<Submit>(&message);
    if (submit == nullptr) continue;
    ++n_submits;
    if (!idle) bursts_.Came(submit->submitted_at - last_submit_);
    last_submit_ = submit->submitted_at;
  }
  if (idle) bursts_.Began(n_submits);
  return messages;
}

std::string Engine::StartDrafter() {
  if (options_.drafts.kind == DraftKind::kNone) return "";
  std::string reason = context_->ReasonNotToGuess();
  if (reason.empty()) {
    drafter_.emplace(options_.drafts, options_.context, options_.step_target_ms, context_->get(),
                     &closing_);
  }
  return reason;
}

// Without a use for a background context there is no reason to report.
std::string Engine::OpenBackgroundContext() {
  if (!options_.context.prompt_lane || !context_->moves_cells()) return "";
  if (options_.context.n_slots == 1) return "";
  try {
    background_context_.emplace(options_.context, &*context_, &closing_);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void Engine::Handle(Message message) {
  std::visit(Overloaded{
                 [this](Submit& submit) { Start(std::move(submit)); },
                 [this](const Cancel& cancel) { CancelSequence(cancel.id); },
                 [this](const Hold& hold) { scheduler_->SetHeld(hold.id, hold.held); },
                 [](const Close&) {},
             },
             message);
}

void Engine::Start(Submit submit) {
  const SequenceId id = submit.id;
  try {
    std::string scope = std::move(submit.cache_scope);
    Sequence sequence(model_, std::move(submit));
    const bool scores_prompt = sequence.scores_prompt();
    scheduler_->Add(id, sequence.prompt_tokens(), std::move(scope), scores_prompt);
    if (scores_prompt) {
      Tell(PromptDelta{id, {sequence.FirstPromptToken()}});
      sequence.MarkScored(1);
    }
    sequences_.emplace(id, std::move(sequence));
  } catch (const std::exception& error) {
    Tell(SequenceError{id, ErrorCode::kBadRequest, error.what()});
  }
}

void Engine::CancelSequence(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found != sequences_.end()) {
    EndSequence(id, found->second.End(FinishReason::kCancelled, Clock::now()));
  }
}

bool Engine::Step() {
  const Clock::time_point begin = Clock::now();
  Draft();
  const StepPlan plan = scheduler_->Plan();
  if (!EditMemory(plan)) return true;
  if (plan.empty()) return false;

  // Waiting texts leave with the next step's, unless that step computes a prompt: it takes longer.
  if (!plan.only_decodes()) Flush();
  statistics_.CountStep();
  FillBatch(plan);
  if (Decode(plan)) {
    Commit(plan);
    SampleAll(plan);
    Measure(plan);
    RunBackgroundPrefill(plan, MillisecondsSince(begin));
  }
  statistics_.CountStepTime(MillisecondsSince(begin));
  return true;
}

bool Engine::Decode(const StepPlan& plan) {
  if (plan.work.empty()) return true;
  decode_copies_ = context_->has_pending_copies();
  decode_begin_ = Clock::now();
  const DecodeStatus status = context_->Decode(&batch_);
  statistics_.CountDecode(1, MillisecondsSince(decode_begin_));
  switch (status) {
    case DecodeStatus::kOk:
    case DecodeStatus::kAborted:
      break;
    case DecodeStatus::kNoRoom:
      // A sequence that is alone and finds no room will never find any.
      if (!scheduler_->MakeRoom(plan)) FailSequences(plan, kNoRoom);
      break;
    case DecodeStatus::kFailed:
      FailSequences(plan, "llama_decode could not compute the batch");
      break;
  }
  return status == DecodeStatus::kOk;
}

void Engine::Commit(const StepPlan& plan) {
  scheduler_->Commit(plan);
  statistics_.CountBatch(batch_.size());
  for (const StepWork& work : plan.work) {
    statistics_.CountComputed(work.first, work.n_tokens, &sequences_.at(work.id));
  }
}

// Decode() also performs pending copies: the time of such a step must not train the step model.
void Engine::Measure(const StepPlan& plan) {
  if (plan.work.empty() || decode_copies_) return;
  scheduler_->Measured(plan, MillisecondsSince(decode_begin_));
}

// A slice may last as long as the batch, unless a sequence is to decode in the next step.
void Engine::RunBackgroundPrefill(const StepPlan& plan, double batch_ms) {
  if (!plan.lane) return;
  // The results of the batch leave before the slice begins.
  statistics_.Publish(&*scheduler_);
  Flush();
  background_prefill_->Run(*plan.lane, DecodesNext(plan) ? 0 : batch_ms);
}

// True if any sequence sampled in this step is still running.
bool Engine::DecodesNext(const StepPlan& plan) const {
  return std::ranges::any_of(plan.work, [this](const StepWork& work) {
    return work.samples && sequences_.contains(work.id);
  });
}

void Engine::Draft() {
  if (!drafter_) return;
  std::vector<DraftCall> calls = scheduler_->DraftCalls();
  for (DraftCall& call : calls) {
    call.n_most = std::min(call.n_most, sequences_.at(call.id).n_guessable());
  }
  if (calls.empty()) return;
  drafter_->Draft(calls, [this](SequenceId id, std::vector<Token> draft) {
    scheduler_->Propose(id, std::move(draft));
  });
  const double ms = drafter_->drafting_ms();
  if (ms > 0) scheduler_->MeasuredDrafting(drafter_->n_drafted(), ms);
}

// A copy from an id that a failed edit has emptied fails as well.
bool Engine::EditMemory(const StepPlan& plan) {
  if (background_prefill_) background_prefill_->Follow(plan);
  std::vector<CacheId> emptied;
  for (const CacheEdit& edit : plan.edits) {
    const bool from_nothing = edit.kind == CacheEdit::Kind::kCopy &&
                              std::ranges::find(emptied, edit.source) != emptied.end();
    if (!from_nothing && context_->Apply(edit)) continue;
    emptied.push_back(edit.id);
    if (edit.kind == CacheEdit::Kind::kSwap) emptied.push_back(edit.source);
  }
  context_->EndCopies();
  for (const CacheId id : emptied) {
    context_->Apply({CacheEdit::Kind::kClear, id});
    scheduler_->EditFailed(id);
  }
  return emptied.empty();
}

// Work goes into the batch in the order of its cache ids: a split cache computes a run of
// neighbouring ones in one pass only if they come in that order.
void Engine::FillBatch(const StepPlan& plan) {
  by_cache_id_.resize(plan.work.size());
  std::iota(by_cache_id_.begin(), by_cache_id_.end(), 0);
  std::sort(by_cache_id_.begin(), by_cache_id_.end(),
            [&](size_t a, size_t b) { return plan.work[a].cache_id < plan.work[b].cache_id; });

  const Clock::time_point now = Clock::now();
  first_outputs_.assign(plan.work.size(), -1);
  batch_.Clear();
  for (const size_t i : by_cache_id_) {
    const StepWork& work = plan.work[i];
    Sequence& sequence = sequences_.at(work.id);
    sequence.MarkStarted(now);
    scratch_tokens_.clear();
    sequence.CopyTokens(work.first, work.n_tokens, &scratch_tokens_);
    scratch_tokens_.insert(scratch_tokens_.end(), work.draft.begin(), work.draft.end());
    const int32_t n_outputs = work.n_outputs() + static_cast<int32_t>(work.draft.size());
    first_outputs_[i] = batch_.Add(work.cache_id, work.first, scratch_tokens_, n_outputs);
  }
}

// Tokens are chosen and scored on several threads, where that is worth waking them; what follows
// from them is done on this one.
void Engine::SampleAll(const StepPlan& plan) {
  FindSamples(plan);
  const auto n_samples = static_cast<int32_t>(samples_.size());
  const auto n_items = n_samples + static_cast<int32_t>(scores_.size());
  const auto work_on = [&](int32_t i) {
    if (i < n_samples) {
      Choose(&samples_[i]);
    } else {
      ScoreOne(&scores_[i - n_samples]);
    }
  };
  int64_t n_passes = static_cast<int64_t>(scores_.size()) * Sequence::kScoringEffort;
  for (const Sample& sample : samples_) {
    const auto n_tokens = static_cast<int64_t>(1 + sample.draft->size());
    n_passes += n_tokens * sample.sequence->sampling_effort();
  }

  const Clock::time_point begin = Clock::now();
  if (n_passes * model_->n_vocab() >= kParallelEffort) {
    // The first look at the logits puts them in order; the others may then look at the same time.
    const int32_t first = samples_.empty() ? scores_[0].batch_index : samples_[0].batch_index;
    llama_get_logits_ith(context_->get(), first);
    samplers_.Run(n_items, work_on);
  } else {
    for (int32_t i = 0; i < n_items; ++i) work_on(i);
  }
  statistics_.CountSampling(MillisecondsSince(begin));

  TakeScores();
  TakeSamples();
  EndPromptsOnly(plan);
}

void Engine::FindSamples(const StepPlan& plan) {
  samples_.clear();
  scores_.clear();
  for (size_t i = 0; i < plan.work.size(); ++i) {
    const StepWork& work = plan.work[i];
    Sequence* sequence = &sequences_.at(work.id);
    if (sequence->scores_prompt()) {
      const int32_t end = std::min(work.first + work.n_tokens + 1, sequence->n_prompt_tokens());
      for (int32_t at = std::max(work.first + 1, sequence->n_scored()); at < end; ++at) {
        scores_.push_back({.sequence = sequence,
                           .batch_index = first_outputs_[i] + (at - 1 - work.first),
                           .index = at});
      }
    }
    if (work.samples && sequence->max_tokens() > 0) {
      samples_.push_back({.sequence = sequence,
                          .batch_index = first_outputs_[i] + work.n_outputs() - 1,
                          .draft = &work.draft});
    }
  }
  // The slow ones first, so that nobody waits for them at the end.
  std::ranges::stable_sort(samples_, std::greater(),
                           [](const Sample& each) { return each.sequence->sampling_effort(); });
}

// A guess is right as far as the sampler, asked for one token after the other, says the same. So
// every token is chosen exactly as it would have been without the guess.
void Engine::Choose(Sample* sample) {
  const std::vector<Token>& draft = *sample->draft;
  try {
    for (size_t i = 0; i <= draft.size(); ++i) {
      const int32_t batch_index = sample->batch_index + static_cast<int32_t>(i);
      const llama_token token = sample->sequence->Sample(context_->get(), batch_index);
      sample->tokens.push_back(token);
      if (i == draft.size() || token != draft[i] || model_->IsEndOfGeneration(token)) break;
    }
  } catch (const std::exception& error) {
    sample->error = ReasonOf(error);
  }
}

void Engine::ScoreOne(Score* score) {
  try {
    score->token = score->sequence->ScorePrompt(context_->get(), score->batch_index, score->index);
  } catch (const std::exception& error) {
    score->error = ReasonOf(error);
  }
}

void Engine::TakeScores() {
  for (size_t begin = 0; begin < scores_.size();) {
    Sequence* sequence = scores_[begin].sequence;
    PromptDelta delta{sequence->id(), {}};
    std::string error;
    size_t end = begin;
    for (; end < scores_.size() && scores_[end].sequence == sequence; ++end) {
      if (error.empty()) error = std::move(scores_[end].error);
      delta.tokens.push_back(std::move(scores_[end].token));
    }
    begin = end;
    if (error.empty()) {
      sequence->MarkScored(static_cast<int32_t>(delta.tokens.size()));
      Tell(std::move(delta));
    } else {
      std::erase_if(samples_, [&](const Sample& each) { return each.sequence == sequence; });
      const SequenceId id = sequence->id();
      EndSequence(id, SequenceError{id, ErrorCode::kSequenceFailed, std::move(error)});
    }
  }
}

void Engine::TakeSamples() {
  for (Sample& sample : samples_) {
    Sequence* sequence = sample.sequence;
    const SequenceId id = sequence->id();
    Sequence::Growth growth;
    size_t n_grown = 0;
    while (n_grown < sample.tokens.size() && !growth.ended) {
      growth = sequence->Grow(sample.tokens[n_grown++]);
      if (!growth.text.empty()) {
        Tell(TextDelta{id, std::move(growth.text), std::move(growth.tokens)},
             /*may_wait=*/!growth.begins);
      }
    }
    statistics_.CountSampled(n_grown);
    if (n_grown > 0) {
      const std::span<const Token> grown(sample.tokens.data(), n_grown);
      const int32_t n_accepted = scheduler_->Append(id, grown);
      statistics_.CountDraft(static_cast<int32_t>(sample.draft->size()), n_accepted, sequence);
    }
    if (growth.ended) {
      EndSequence(id, sequence->End(growth.reason, Clock::now()));
    } else if (!sample.error.empty()) {
      EndSequence(id, SequenceError{id, ErrorCode::kSequenceFailed, std::move(sample.error)});
    }
  }
}

// Of some only the prompt was wanted.
void Engine::EndPromptsOnly(const StepPlan& plan) {
  for (const StepWork& work : plan.work) {
    const auto found = sequences_.find(work.id);
    if (!work.samples || found == sequences_.end() || found->second.max_tokens() > 0) continue;
    EndSequence(work.id, found->second.End(FinishReason::kLength, Clock::now()));
  }
}

void Engine::FailSequences(const StepPlan& plan, const std::string& reason) {
  for (const StepWork& work : plan.work) {
    EndSequence(work.id, SequenceError{work.id, ErrorCode::kSequenceFailed, reason});
  }
}

void Engine::EndSequence(SequenceId id, Event event) {
  // After an error nobody knows what the cells hold.
  if (std::holds_alternative<SequenceError>(event)) {
    scheduler_->Drop(id);
  } else {
    scheduler_->Finish(id);
  }
  if (drafter_) drafter_->Forget(id);
  sequences_.erase(id);
  Tell(std::move(event));
}

void Engine::EndEverything(const std::optional<std::string>& failure) {
  const Clock::time_point now = Clock::now();
  const auto end = [&](SequenceId id, const Sequence* sequence) {
    if (failure) {
      Tell(SequenceError{id, ErrorCode::kEngineFailed, *failure});
    } else {
      Tell(sequence != nullptr ? sequence->End(FinishReason::kCancelled, now)
                               : SequenceEnd{id, FinishReason::kCancelled});
    }
  };
  for (const auto& [id, sequence] : sequences_) end(id, &sequence);
  for (const Message& message : mailbox_.TakeAll()) {
    if (const auto* submit = std::get_if<Submit>(&message)) end(submit->id, nullptr);
  }
  sequences_.clear();
  background_prefill_.reset();
  scheduler_.reset();
  if (failure) Tell(EngineFailed{*failure});
}

void Engine::Tell(Event event, bool may_wait) {
  events_.push_back(std::move(event));
  if (!may_wait) flush_at_ = Clock::time_point::min();
}

void Engine::Flush() {
  if (events_.empty()) return;
  sink_(std::exchange(events_, {}));
  flush_at_ = Clock::now() + TextInterval(options_);
}
