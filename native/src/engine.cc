#include "engine.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>

namespace {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

SchedulerLimits LimitsOf(const ContextOptions& options, llama_context* context) {
  return {
      .n_slots = options.n_slots,
      .n_kv_tokens = options.n_kv_tokens,
      .n_batch = static_cast<int32_t>(llama_n_batch(context)),
      .n_chunk = static_cast<int32_t>(llama_n_ubatch(context)),
  };
}

// A batch must have room for a token of every slot.
ContextOptions Checked(ContextOptions options) {
  options.n_batch = std::max(options.n_batch, options.n_slots);
  return options;
}

}  // namespace

Engine::Engine(const Model* model, ContextOptions options, EventSink sink)
    : model_(model),
      options_(Checked(options)),
      sink_(std::move(sink)),
      thread_([this] { Run(); }) {}

Engine::~Engine() {
  RequestClose();
  Join();
}

void Engine::Post(Message message) { mailbox_.Push(std::move(message)); }

void Engine::RequestClose() {
  closing_.store(true, std::memory_order_relaxed);
  mailbox_.Push(Close{});
}

void Engine::Join() {
  const std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return published_stats_;
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
  context_.reset();
  events_.push_back(Stopped{});
  PublishStats();
  Flush();
}

void Engine::RunSteps() {
  context_.emplace(options_, &closing_);
  scheduler_.emplace(LimitsOf(options_, context_->get()));
  events_.push_back(Started{
      .n_batch = static_cast<int32_t>(llama_n_batch(context_->get())),
      .n_ubatch = static_cast<int32_t>(llama_n_ubatch(context_->get())),
      .unified_kv = context_->unified(),
  });
  bool idle = false;
  while (!closing_.load(std::memory_order_relaxed)) {
    if (idle) scheduler_->CheckIntegrity();
    PublishStats();
    Flush();
    for (Message& message : idle ? mailbox_.WaitAndTakeAll() : mailbox_.TakeAll()) {
      Handle(std::move(message));
    }
    idle = !Step();
  }
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
    Sequence sequence(model_, std::move(submit));
    scheduler_->Add(id, sequence.n_tokens());
    sequences_.emplace(id, std::move(sequence));
  } catch (const std::exception& error) {
    events_.push_back(SequenceError{id, ErrorCode::kBadRequest, error.what()});
  }
}

void Engine::CancelSequence(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found != sequences_.end()) {
    EndSequence(id, found->second.End(FinishReason::kCancelled, Clock::now()));
  }
}

bool Engine::Step() {
  StepPlan plan = scheduler_->Plan();
  for (const Eviction& eviction : plan.evictions) context_->Clear(eviction.slot);
  if (plan.empty()) return false;

  FillBatch(plan);
  const DecodeStatus status = context_->Decode();
  ++stats_.n_decode_calls;
  switch (status) {
    case DecodeStatus::kOk:
      scheduler_->Commit(plan);
      SampleAll(plan);
      break;
    case DecodeStatus::kNoRoom:
      EvictForRoom(plan);
      break;
    case DecodeStatus::kAborted:
      break;
    case DecodeStatus::kFailed:
      FailSequences(plan, "llama_decode could not compute the batch");
      break;
  }
  return true;
}

// Work goes into the batch in the order of its slots: a split cache computes a run of neighbouring
// slots in one pass only if they come in that order.
void Engine::FillBatch(const StepPlan& plan) {
  by_slot_.resize(plan.work.size());
  std::iota(by_slot_.begin(), by_slot_.end(), 0);
  std::sort(by_slot_.begin(), by_slot_.end(),
            [&](size_t a, size_t b) { return plan.work[a].slot < plan.work[b].slot; });

  const Clock::time_point now = Clock::now();
  last_indices_.assign(plan.work.size(), -1);
  context_->BeginBatch();
  for (const size_t i : by_slot_) {
    const StepWork& work = plan.work[i];
    Sequence& sequence = sequences_.at(work.id);
    sequence.MarkStarted(now);
    scratch_tokens_.clear();
    sequence.CopyTokens(work.first, work.n_tokens, &scratch_tokens_);
    last_indices_[i] = context_->Add(work.slot, work.first, scratch_tokens_, work.samples);
  }
}

void Engine::SampleAll(const StepPlan& plan) {
  stats_.n_decoded_tokens += context_->batch_size();
  for (size_t i = 0; i < plan.work.size(); ++i) {
    const StepWork& work = plan.work[i];
    Sequence& sequence = sequences_.at(work.id);
    stats_.n_prefilled_tokens +=
        std::clamp(sequence.n_prompt_tokens() - work.first, 0, work.n_tokens);
    if (!work.samples) continue;

    try {
      Sequence::Growth growth = sequence.Grow(context_->get(), last_indices_[i]);
      ++stats_.n_sampled_tokens;
      scheduler_->Append(work.id);
      if (!growth.text.empty()) events_.push_back(TextDelta{work.id, std::move(growth.text)});
      if (growth.ended) EndSequence(work.id, sequence.End(growth.reason, Clock::now()));
    } catch (const std::exception& error) {
      EndSequence(work.id, SequenceError{work.id, ErrorCode::kSequenceFailed, error.what()});
    }
  }
}

// The plan saw room and the cache did not: the youngest sequence starts over later. Alone, a
// sequence that finds no room never will.
void Engine::EvictForRoom(const StepPlan& plan) {
  Eviction eviction;
  if (scheduler_->EvictOne(&eviction)) {
    context_->Clear(eviction.slot);
  } else {
    FailSequences(plan, "the KV cache has no room for the sequence");
  }
}

void Engine::FailSequences(const StepPlan& plan, const std::string& reason) {
  for (const StepWork& work : plan.work) {
    EndSequence(work.id, SequenceError{work.id, ErrorCode::kSequenceFailed, reason});
  }
}

void Engine::EndSequence(SequenceId id, Event event) {
  const int32_t slot = scheduler_->Remove(id);
  if (slot >= 0) context_->Clear(slot);
  sequences_.erase(id);
  events_.push_back(std::move(event));
}

void Engine::EndEverything(const std::optional<std::string>& failure) {
  const Clock::time_point now = Clock::now();
  const auto end = [&](SequenceId id, const Sequence* sequence) {
    if (failure) {
      events_.push_back(SequenceError{id, ErrorCode::kEngineFailed, *failure});
    } else {
      events_.push_back(sequence != nullptr ? sequence->End(FinishReason::kCancelled, now)
                                            : SequenceEnd{id, FinishReason::kCancelled});
    }
  };
  for (const auto& [id, sequence] : sequences_) end(id, &sequence);
  for (const Message& message : mailbox_.TakeAll()) {
    if (const auto* submit = std::get_if<Submit>(&message)) end(submit->id, nullptr);
  }
  sequences_.clear();
  scheduler_.reset();
  if (failure) events_.push_back(EngineFailed{*failure});
}

void Engine::Flush() {
  if (!events_.empty()) sink_(std::exchange(events_, {}));
}

void Engine::PublishStats() {
  stats_.n_running = scheduler_ ? scheduler_->n_running() : 0;
  stats_.n_waiting = scheduler_ ? scheduler_->n_waiting() : 0;
  stats_.n_used_kv_tokens = scheduler_ ? scheduler_->n_used() : 0;
  stats_.n_evicted = scheduler_ ? scheduler_->n_evicted() : stats_.n_evicted;
  const std::lock_guard lock(stats_mutex_);
  published_stats_ = stats_;
}
