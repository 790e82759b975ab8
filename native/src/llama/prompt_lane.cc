#include "llama/prompt_lane.h"

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
  llama_context_params params = main_->ParamsForLane(options);
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
  if (!Begin({{.id = 0, .tokens = {0}, .n_target = 1}}, -1) || !Run(1e9, 1) || is_busy()) {
    return false;
  }
  const bool moves = Read(0) && WriteTo(0) && main_->n_held(0) == 1;
  main_->Apply({CacheEdit::Kind::kClear, 0});
  return moves;
}

// The thread may not start, the cells may not find memory: then there is a lane for others.
bool PromptLane::Begin(std::vector<Row> rows, CacheId source) {
  Abandon();
  try {
    if (rows[0].n_computed > 0 &&
        !(main_->ReadCells(source, &incoming_) && Restream(1, &incoming_))) {
      incoming_ = CellBytes{};
      return false;
    }
    rows_ = std::move(rows);
    n_piece_ = std::min(kLeastPiece, n_ubatch_);
    within_piece_ = failed_ = false;
    abandoned_.store(false, std::memory_order_relaxed);
    thread_.emplace([this](SlicedThread* thread) { Compute(thread); });
    return true;
  } catch (const std::exception&) {
    Abandon();
    return false;
  }
}

PromptLane::Row* PromptLane::Find(SequenceId id) {
  const auto found = std::ranges::find(rows_, id, &Row::id);
  return found == rows_.end() ? nullptr : &*found;
}

bool PromptLane::IsDone() const {
  return std::ranges::all_of(rows_, [](const Row& row) { return row.n_computed >= row.n_target; });
}

bool PromptLane::Run(double ms, double slack_ms) {
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
    if (IsDone()) {
      thread->Pause();
      continue;
    }
    if (std::isinf(slack_ms_)) n_piece_ = n_ubatch_;
    failed_ = !ComputePiece();
    if (failed_) return;
    const int32_t n = batch_.size();
    last_effort_.n_tokens += n;
    ++last_effort_.n_calls;
    const double change = slack_ms_ / std::max(0.1, Milliseconds(longest_).count());
    if (n == n_piece_ || change < 1) {
      n_piece_ = static_cast<int32_t>(n * std::clamp(change, 0.5, 2.0));
      n_piece_ = std::clamp(n_piece_, std::min(kLeastPiece, n_ubatch_), n_ubatch_);
    }
  }
}

// The cells the rows begin behind; `source` may have held more of them.
bool PromptLane::TakeOver() noexcept {
  if (incoming_.empty()) return true;
  const CellBytes cells = std::exchange(incoming_, {});
  llama_memory_t memory = llama_get_memory(context_.get());
  const bool done =
      llama_state_seq_set_data(context_.get(), cells.data(), cells.size(), 0) == cells.size() &&
      llama_memory_seq_rm(memory, 0, rows_[0].n_computed, -1);
  for (size_t i = 1; done && i < rows_.size(); ++i) {
    llama_memory_seq_cp(memory, 0, static_cast<llama_seq_id>(i), 0, rows_[i].n_computed);
  }
  slices_->PauseIfDue({});
  return done;
}

// The next tokens of all rows, as many as a piece has.
bool PromptLane::ComputePiece() noexcept {
  within_piece_ = true;
  longest_ = {};
  began_at_ = Clock::now();
  bool done = false;
  try {
    batch_.Clear();
    std::vector<int32_t> ends;
    for (size_t i = 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      const int32_t n = std::min(row.n_target - row.n_computed, n_piece_ - batch_.size());
      ends.push_back(row.n_computed + std::max(0, n));
      if (n <= 0) continue;
      const auto tokens = std::span(row.tokens).subspan(row.n_computed, n);
      batch_.Add(static_cast<llama_seq_id>(i), row.n_computed, tokens, 0);
    }
    done = batch_.DecodeIn(context_.get()) == DecodeStatus::kOk && !stops();
    for (size_t i = 0; done && i < rows_.size(); ++i) rows_[i].n_computed = ends[i];
  } catch (...) {
    // As any other failure: the sequences are computed elsewhere.
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

bool PromptLane::Read(SequenceId id) {
  const auto row = static_cast<llama_seq_id>(Find(id) - rows_.data());
  read_id_.reset();
  try {
    if (!ReadCellsOf(context_.get(), row, &outgoing_)) return false;
  } catch (const std::exception&) {
    return false;
  }
  read_id_ = id;
  return true;
}

// The buffer stays for the next row.
bool PromptLane::WriteTo(CacheId to) {
  read_id_.reset();
  return main_->WriteCells(to, &outgoing_);
}

void PromptLane::EndMoves() {
  outgoing_ = CellBytes{};
  read_id_.reset();
}

void PromptLane::Abandon() {
  abandoned_.store(true, std::memory_order_relaxed);
  thread_.reset();
  incoming_ = CellBytes{};
  EndMoves();
  rows_.clear();
  llama_memory_clear(llama_get_memory(context_.get()), /*data=*/false);
}
