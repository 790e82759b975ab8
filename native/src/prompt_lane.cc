#include "prompt_lane.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <stdexcept>
#include <utility>

namespace {

using Clock = SlicedThread::Clock;

// Below 64 rows ggml's attention on a CPU is several times as slow for each of them
// (GGML_FA_TILE_Q).
constexpr int32_t kLeastPiece = 64;

using Milliseconds = std::chrono::duration<double, std::milli>;

}  // namespace

PromptLane::PromptLane(const ContextOptions& options, Context* context,
                       const std::atomic<bool>* aborting)
    : main_(context),
      aborting_(aborting),
      n_ubatch_(static_cast<int32_t>(llama_n_ubatch(context->get()))) {
  llama_context_params params = main_->ParamsForOne(options);
  params.cb_eval = [](ggml_tensor* tensor, bool asks, void* lane) noexcept {
    return static_cast<PromptLane*>(lane)->ComesBy(tensor, asks);
  };
  params.cb_eval_user_data = this;
  context_.reset(llama_init_from_model(options.model, params));
  if (!context_) throw std::runtime_error("its memory does not suffice");
  main_->LendThreads(context_.get());
  const bool moves = MovesInTrial();
  Abandon();
  if (!moves) throw std::runtime_error("what it computes cannot be moved to the other context");
}

PromptLane::~PromptLane() { Abandon(); }

// Computes a token, moves it, and looks whether it has arrived.
bool PromptLane::MovesInTrial() {
  constexpr std::array<llama_token, 1> kAnyToken{0};
  if (!Begin(kAnyToken, 0, -1) || !Run(1, 1e9, 1) || n_computed_ != 1) return false;
  const bool moves = Read() && WriteTo(0) && main_->n_held(0) == 1;
  main_->Apply({CacheEdit::Kind::kClear, 0});
  return moves;
}

// The thread may not start, the cells may not find memory: then there is a lane for others.
bool PromptLane::Begin(std::span<const llama_token> tokens, int32_t n_held, CacheId source) {
  Abandon();
  try {
    if (n_held > 0 && !(main_->ReadCells(source, &incoming_) && Restream(1, &incoming_))) {
      return false;
    }
    tokens_.assign(tokens.begin(), tokens.end());
    n_computed_ = n_target_ = n_held;
    n_piece_ = std::min(kLeastPiece, n_ubatch_);
    within_piece_ = failed_ = false;
    abandoned_.store(false, std::memory_order_relaxed);
    thread_.emplace([this](SlicedThread* thread) { Compute(thread); });
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

bool PromptLane::Run(int32_t n_target, double ms, double slack_ms) {
  n_target_ = n_target;
  slack_ms_ = slack_ms;
  last_effort_ = {};
  const auto slice = std::chrono::duration_cast<Clock::duration>(Milliseconds(ms));
  thread_->RunUntil(Clock::now() + slice);
  return !failed_;
}

void PromptLane::Compute(SlicedThread* thread) noexcept {
  slices_ = thread;
  if (stops()) return;
  failed_ = !TakeOver();
  while (!failed_ && !stops()) {
    if (n_computed_ >= n_target_) {
      thread->Pause();
      continue;
    }
    if (std::isinf(slack_ms_)) n_piece_ = n_ubatch_;
    const int32_t n = std::min(n_target_ - n_computed_, n_piece_);
    failed_ = !ComputePiece(n);
    if (failed_) return;
    n_computed_ += n;
    last_effort_.n_tokens += n;
    ++last_effort_.n_calls;
    const double change = slack_ms_ / std::max(0.1, Milliseconds(longest_).count());
    if (n == n_piece_ || change < 1) {
      n_piece_ = static_cast<int32_t>(n * std::clamp(change, 0.5, 2.0));
      n_piece_ = std::clamp(n_piece_, std::min(kLeastPiece, n_ubatch_), n_ubatch_);
    }
  }
}

// The cells it begins behind; `source` may have held more of them.
bool PromptLane::TakeOver() noexcept {
  if (incoming_.empty()) return true;
  const CellBytes cells = std::exchange(incoming_, {});
  const bool done =
      llama_state_seq_set_data(context_.get(), cells.data(), cells.size(), 0) == cells.size() &&
      llama_memory_seq_rm(llama_get_memory(context_.get()), 0, n_computed_, -1);
  slices_->PauseIfDue({});
  return done;
}

bool PromptLane::ComputePiece(int32_t n) noexcept {
  within_piece_ = true;
  longest_ = {};
  began_at_ = Clock::now();
  bool done = false;
  try {
    batch_.Clear();
    batch_.Add(0, n_computed_, std::span(tokens_).subspan(n_computed_, n), 0);
    done = batch_.DecodeIn(context_.get()) == DecodeStatus::kOk && !stops();
  } catch (...) {
    // As any other failure: the sequence is computed elsewhere.
  }
  within_piece_ = false;
  return done;
}

bool PromptLane::stops() const {
  return abandoned_.load(std::memory_order_relaxed) || aborting_->load(std::memory_order_relaxed);
}

// At the operations that take long; what is computed between two of them takes no time. When it
// stops here, llama.cpp leaves out the rest and believes to be done; an abort callback would end
// the same way, but with errors in the log.
bool PromptLane::ComesBy(const ggml_tensor* tensor, bool asks) {
  if (asks) {
    return tensor->op == GGML_OP_MUL_MAT || tensor->op == GGML_OP_MUL_MAT_ID ||
           tensor->op == GGML_OP_FLASH_ATTN_EXT;
  }
  longest_ = std::max(longest_, Clock::now() - began_at_);
  // On average no slice is exceeded.
  slices_->PauseIfDue(longest_ / 2);
  began_at_ = Clock::now();
  return !stops();
}

bool PromptLane::Read() {
  try {
    return ReadCellsOf(context_.get(), 0, &outgoing_);
  } catch (const std::exception&) {
    return false;
  }
}

bool PromptLane::WriteTo(CacheId id) {
  CellBytes cells = std::exchange(outgoing_, {});
  return main_->WriteCells(id, &cells);
}

void PromptLane::Abandon() {
  abandoned_.store(true, std::memory_order_relaxed);
  thread_.reset();
  incoming_ = {};
  outgoing_ = {};
  llama_memory_seq_rm(llama_get_memory(context_.get()), 0, -1, -1);
}
