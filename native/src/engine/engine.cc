#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <span>
#include <utility>
#include <variant>

namespace {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

constexpr char kNoRoom[] = "the KV cache has no room for the sequence";

SchedulerLimits LimitsOf(const EngineOptions& options, bool drafts,
                         const BackgroundContext* background, Context* context) {
  return {
      .n_slots = options.context.n_slots,
      .n_batch = static_cast<int32_t>(llama_n_batch(context->get())),
      .n_ubatch = static_cast<int32_t>(llama_n_ubatch(context->get())),
      .step_target_ms = options.step_target_ms,
      .max_logprob_rows = context->max_logprob_rows(),
      .n_drafted = drafts ? options.context.n_drafted : 0,
      .min_draft_tokens = options.drafts.n_min,
      .max_draft_tokens = options.drafts.n_max,
      .max_background_tokens = background == nullptr ? 0 : context->n_movable(),
      .max_background_sequences = background == nullptr ? 1 : background->max_rows(),
      .max_compaction_moves = context->max_compaction_moves(kMaxCompactionPasses),
      .cache = context->cache_limits(),
  };
}

}  // namespace

Engine::Engine(ThreadLink<Event> link, const Model* model, EngineOptions options)
    : model_(model),
      options_(Complete(std::move(options))),
      link_(link),
      sampler_(model, std::min(options_.n_sampling_threads, options_.context.n_slots)) {}

EngineFacts Engine::Open() {
  context_.emplace(options_.context, link_.closing);
  EngineFacts facts;
  facts.drafts_disabled_reason = OpenDrafter();
  facts.background_prefill_disabled_reason = OpenBackgroundContext();
  BackgroundContext* background = background_context_ ? &*background_context_ : nullptr;
  scheduler_.emplace(LimitsOf(options_, drafter_.has_value(), background, &*context_));
  if (background != nullptr) {
    background_runner_.emplace(background, &*context_, &*scheduler_, &completions_, &statistics_);
  }
  statistics_.SetThreads(options_.context.n_threads);
  if (options_.adapts_threads) thread_pacer_.emplace(options_.context.n_threads);
  facts.background_prefill = background != nullptr;
  facts.n_batch = static_cast<int32_t>(llama_n_batch(context_->get()));
  facts.n_ubatch = static_cast<int32_t>(llama_n_ubatch(context_->get()));
  facts.unified_kv = context_->unified();
  return facts;
}

std::string Engine::OpenDrafter() {
  if (options_.drafts.kind == DraftKind::kNone) return "";
  std::string reason = context_->DraftsDisabledReason();
  if (reason.empty()) {
    drafter_.emplace(options_.drafts, options_.context, options_.step_target_ms, context_->get(),
                     link_.closing);
  }
  return reason;
}

// Where background prefill would be of no use, there is no reason to report.
std::string Engine::OpenBackgroundContext() {
  if (!options_.context.background_prefill || !context_->moves_cells()) return "";
  if (options_.context.n_slots == 1) return "";
  try {
    background_context_.emplace(options_.context, &*context_, link_.closing);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void Engine::Handle(Message message) {
  std::visit(Overloaded{
                 [this](Submit& submit) { Start(std::move(submit)); },
                 [this](const Cancel& cancel) { CancelSequence(cancel.id); },
                 [this](const Pause& pause) { scheduler_->SetPaused(pause.id, pause.paused); },
             },
             message);
}

void Engine::Start(Submit submit) {
  const SequenceId id = submit.id;
  try {
    std::string scope = std::move(submit.cache_scope);
    Completion completion(model_, std::move(submit));
    const bool wants_prompt_logprobs = completion.wants_prompt_logprobs();
    scheduler_->Add(id, completion.prompt_tokens(), std::move(scope), wants_prompt_logprobs);
    if (wants_prompt_logprobs) {
      link_.events->Emit(PromptDelta{id, {completion.FirstPromptToken()}});
      completion.MarkPromptLogprobs(1);
    }
    if (completion.reports_progress()) reporting_.push_back(id);
    completions_.emplace(id, std::move(completion));
  } catch (const std::exception& error) {
    link_.events->Emit(RequestError{id, ErrorCode::kBadRequest, error.what()});
  }
}

void Engine::CancelSequence(SequenceId id) {
  const auto found = completions_.find(id);
  if (found != completions_.end()) {
    EndSequence(id, found->second.End(FinishReason::kCancelled, Clock::now()));
  }
}

bool Engine::Step() {
  const Clock::time_point begin = Clock::now();
  Draft();
  const StepPlan plan = scheduler_->Plan();
  if (!EditMemory(plan)) return true;
  if (plan.empty()) {
    Rest();
    return false;
  }

  statistics_.CountStep();
  batch_.Fill(plan, *scheduler_, &completions_);
  ReportProgress();
  ChooseThreads(plan);
  // Waiting texts leave with the next step's, unless that step computes a prompt: it takes longer.
  if (!plan.only_decodes()) link_.events->Flush();
  if (Decode(plan)) {
    Commit(plan);
    Sample(plan);
    Measure(plan);
    PrefillInBackground(plan, MillisecondsSince(begin));
  }
  statistics_.CountStepTime(MillisecondsSince(begin));
  statistics_.Publish(&*scheduler_);
  return true;
}

void Engine::Draft() {
  if (!drafter_) return;
  std::vector<DraftCall> calls = scheduler_->DraftCalls();
  for (DraftCall& call : calls) {
    call.max_tokens = std::min(call.max_tokens, completions_.at(call.id).max_draft());
  }
  if (calls.empty()) return;
  drafter_->Draft(calls, [this](SequenceId id, std::vector<Token> draft) {
    scheduler_->AddDraft(id, std::move(draft));
  });
  const double ms = drafter_->drafting_ms();
  if (ms > 0) scheduler_->MeasuredDrafting(drafter_->n_drafted(), ms);
}

// A copy from an id that a failed edit has emptied fails as well.
bool Engine::EditMemory(const StepPlan& plan) {
  if (background_runner_) background_runner_->Follow(plan);
  std::vector<CacheEdit> failed;
  for (const CacheEdit& edit : plan.edits) {
    const bool from_nothing = edit.kind == CacheEdit::Kind::kCopy &&
                              std::ranges::any_of(failed, [&](const CacheEdit& each) {
                                return each.Changes(edit.source);
                              });
    if (from_nothing || !context_->Apply(edit)) failed.push_back(edit);
  }
  context_->EndCopies();
  for (const CacheEdit& edit : failed) {
    context_->Apply({CacheEdit::Kind::kClear, edit.id});
    if (edit.kind == CacheEdit::Kind::kSwap)
      context_->Apply({CacheEdit::Kind::kClear, edit.source});
    scheduler_->EditFailed(edit);
  }
  return failed.empty();
}

void Engine::ChooseThreads(const StepPlan& plan) {
  if (!thread_pacer_) return;
  context_->UseThreads(plan.only_decodes() ? thread_pacer_->n_threads()
                                           : thread_pacer_->n_chosen());
}

bool Engine::Decode(const StepPlan& plan) {
  if (plan.work.empty()) return true;
  decode_copies_ = context_->has_pending_copies();
  decode_begin_ = Clock::now();
  const DecodeStatus status = context_->Decode(batch_.tokens());
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
  statistics_.CountBatch(batch_.n_tokens());
  for (const StepWork& work : plan.work) {
    statistics_.CountComputed(work.first, work.n_tokens, &completions_.at(work.id));
  }
  ReportProgress();
}

void Engine::ReportProgress() {
  if (reporting_.empty()) return;
  const Clock::time_point now = Clock::now();
  std::erase_if(reporting_, [&](SequenceId id) {
    const auto found = completions_.find(id);
    if (found == completions_.end()) return true;
    if (auto progress = found->second.TakeProgress(now)) link_.events->Emit(std::move(*progress));
    return !found->second.reports_progress();
  });
}

void Engine::Sample(const StepPlan& plan) {
  const Clock::time_point begin = Clock::now();
  sampler_.Run(plan, batch_, &completions_, context_->get());
  statistics_.CountSampling(MillisecondsSince(begin));
  TakePromptLogprobs();
  TakeSamples();
  EndPromptsOnly(plan);
}

// Decode() also performs pending copies: the time of such a step must not train the step model.
void Engine::Measure(const StepPlan& plan) {
  if (plan.work.empty() || decode_copies_) return;
  const double ms = MillisecondsSince(decode_begin_);
  scheduler_->Measured(plan, ms);
  if (thread_pacer_ && plan.only_decodes() && plan.n_drafted() == 0) {
    AdaptThreads(static_cast<int32_t>(plan.work.size()), ms);
  }
}

void Engine::AdaptThreads(int32_t n_decoding, double ms) {
  const int32_t n_before = thread_pacer_->n_chosen();
  thread_pacer_->Observe(n_decoding, ms);
  const int32_t n_threads = thread_pacer_->n_chosen();
  if (n_threads == n_before) return;
  statistics_.SetThreads(n_threads);
  link_.events->Emit(ThreadsChanged{n_threads, n_before});
}

// A slice may last as long as the batch, unless a sequence is to decode in the next step.
void Engine::PrefillInBackground(const StepPlan& plan, double step_ms) {
  if (!plan.background) return;
  // The results of the batch leave before the slice begins.
  statistics_.Publish(&*scheduler_);
  link_.events->Flush();
  background_runner_->Run(*plan.background, DecodesNext(plan) ? 0 : step_ms);
}

void Engine::Rest() {
  scheduler_->CheckIntegrity();
  statistics_.Publish(&*scheduler_);
}

// True if any sequence that sampled in this step is still running.
bool Engine::DecodesNext(const StepPlan& plan) const {
  return std::ranges::any_of(plan.work, [this](const StepWork& work) {
    return work.samples && completions_.contains(work.id);
  });
}

void Engine::TakePromptLogprobs() {
  auto& logprobs = sampler_.prompt_logprobs();
  for (size_t begin = 0; begin < logprobs.size();) {
    Completion* completion = logprobs[begin].completion;
    PromptDelta delta{completion->id(), {}};
    std::string error;
    size_t end = begin;
    for (; end < logprobs.size() && logprobs[end].completion == completion; ++end) {
      if (error.empty()) error = std::move(logprobs[end].error);
      delta.tokens.push_back(std::move(logprobs[end].token));
    }
    begin = end;
    if (error.empty()) {
      completion->MarkPromptLogprobs(static_cast<int32_t>(delta.tokens.size()));
      link_.events->Emit(std::move(delta));
    } else {
      std::erase_if(sampler_.samples(),
                    [&](const StepSampler::Sample& each) { return each.completion == completion; });
      const SequenceId id = completion->id();
      EndSequence(id, RequestError{id, ErrorCode::kSequenceFailed, std::move(error)});
    }
  }
}

void Engine::TakeSamples() {
  for (StepSampler::Sample& sample : sampler_.samples()) {
    Completion* completion = sample.completion;
    const SequenceId id = completion->id();
    Completion::Growth growth;
    size_t n_grown = 0;
    while (n_grown < sample.tokens.size() && !growth.ended) {
      growth = completion->Grow(sample.tokens[n_grown++]);
      if (growth.text.empty()) continue;
      TextDelta delta{id, std::move(growth.text), std::move(growth.tokens), std::move(growth.ids)};
      if (growth.begins) {
        link_.events->Emit(std::move(delta));
      } else {
        link_.events->EmitLater(std::move(delta), options_.stream_interval());
      }
    }
    statistics_.CountSampled(n_grown);
    if (n_grown > 0) {
      const std::span<const Token> grown(sample.tokens.data(), n_grown);
      const int32_t n_accepted = scheduler_->Append(id, grown);
      statistics_.CountDraft(static_cast<int32_t>(sample.draft->size()), n_accepted, completion);
    }
    if (growth.ended) {
      EndSequence(id, completion->End(growth.reason, Clock::now()));
    } else if (!sample.error.empty()) {
      EndSequence(id, RequestError{id, sample.error_code, std::move(sample.error)});
    }
  }
}

// A request for 0 completion tokens ends when its prompt is computed.
void Engine::EndPromptsOnly(const StepPlan& plan) {
  for (const StepWork& work : plan.work) {
    const auto found = completions_.find(work.id);
    if (!work.samples || found == completions_.end() || found->second.max_tokens() > 0) continue;
    EndSequence(work.id, found->second.End(FinishReason::kLength, Clock::now()));
  }
}

void Engine::FailSequences(const StepPlan& plan, const std::string& reason) {
  for (const StepWork& work : plan.work) {
    EndSequence(work.id, RequestError{work.id, ErrorCode::kSequenceFailed, reason});
  }
}

void Engine::EndSequence(SequenceId id, Event event) {
  // After an error the contents of the cells are unknown.
  if (std::holds_alternative<RequestError>(event)) {
    scheduler_->Drop(id);
  } else {
    scheduler_->Finish(id);
  }
  if (drafter_) drafter_->Forget(id);
  completions_.erase(id);
  link_.events->Emit(std::move(event));
}

void Engine::End(std::vector<Message> unhandled,
                 const std::optional<std::string>& failure) noexcept {
  const Clock::time_point now = Clock::now();
  const auto end = [&](SequenceId id, SequenceEnd cancelled) {
    if (failure) {
      link_.events->Emit(RequestError{id, ErrorCode::kEngineFailed, *failure});
    } else {
      link_.events->Emit(std::move(cancelled));
    }
  };
  for (auto& [id, completion] : completions_) {
    end(id, completion.End(FinishReason::kCancelled, now));
  }
  for (const Message& message : unhandled) {
    const auto* submit = std::get_if<Submit>(&message);
    if (submit != nullptr) end(submit->id, {submit->id, FinishReason::kCancelled});
  }
  completions_.clear();
  background_runner_.reset();
  scheduler_.reset();
  thread_pacer_.reset();
  drafter_.reset();
  background_context_.reset();
  context_.reset();
  statistics_.Publish(nullptr);
}
