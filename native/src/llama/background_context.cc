#include "llama/background_context.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <stdexcept>
#include <utility>

namespace {

using Clock = SlicedThread::Clock;

// With fewer than 64 tokens ggml's CPU attention is several times slower for each token
// (GGML_FA_TILE_Q).
constexpr int32_t kMinPiece = 64;

using Milliseconds = std::chrono::duration<double, std::milli>;

}  // namespace

BackgroundContext::BackgroundContext(const ContextOptions& options, Context* context,
                                     const std::atomic<bool>* aborting)
    : main_(context),
      aborting_(aborting),
      n_ubatch_(static_cast<int32_t>(llama_n_ubatch(context->get()))) {
  llama_context_params params = main_->BackgroundParams(options);
  params.cb_eval = [](ggml_tensor* tensor, bool asks, void* self) noexcept {
    return static_cast<BackgroundContext*>(self)->OnTensor(tensor, asks);
  };
  params.cb_eval_user_data = this;
  context_.reset(llama_init_from_model(options.model, params));
  if (!context_) throw std::runtime_error("its memory does not suffice");
  main_->LendThreads(context_.get());
  const bool moves = MovesInTrial();
  Abandon();
  if (!moves) throw std::runtime_error("its cells cannot be moved to the context of the engine");
}

BackgroundContext::~BackgroundContext() { Abandon(); }

// Computes a token, moves it, and checks that it has arrived.
bool BackgroundContext::MovesInTrial() {
  constexpr std::array<Token, 1> kAnyToken{0};
  if (!Begin({{.id = 0, .tokens = kAnyToken, .n_target = 1}}, -1) || !Run(1e9, 1) || is_busy()) {
    return false;
  }
  const bool moves = Read(0) && WriteTo(0) && main_->n_cached(0) == 1;
  main_->Apply({CacheEdit::Kind::kClear, 0});
  return moves;
}

// Starting the thread or allocating the cells may fail; later prompts may still succeed.
bool BackgroundContext::Begin(std::vector<Row> rows, CacheId source) {
  Abandon();
  try {
    if (rows[0].n_computed > 0 &&
        !(main_->ReadCells(source, &incoming_) && Restream(1, &incoming_))) {
      incoming_ = CellBytes{};
      return false;
    }
    rows_ = std::move(rows);
    n_piece_ = std::min(kMinPiece, n_ubatch_);
    within_piece_ = failed_ = false;
    abandoned_.store(false, std::memory_order_relaxed);
    thread_.emplace([this](SlicedThread* thread) { Compute(thread); });
    return true;
  } catch (const std::exception&) {
    Abandon();
    return false;
  }
}

BackgroundContext::Row* BackgroundContext::Find(SequenceId id) {
  const auto found = std::ranges::find(rows_, id, &Row::id);
  return found == rows_.end() ? nullptr : &*found;
}

bool BackgroundContext::IsDone() const {
  return std::ranges::all_of(rows_, [](const Row& row) { return row.n_computed >= row.n_target; });
}

bool BackgroundContext::Run(double ms, double slack_ms) {
  slack_ms_ = slack_ms;
  last_effort_ = {};
  const auto slice = std::chrono::duration_cast<Clock::duration>(Milliseconds(ms));
  thread_->RunUntil(Clock::now() + slice);
  return !failed_;
}

void BackgroundContext::Compute(SlicedThread* thread) noexcept {
  slices_ = thread;
  if (stops()) return;
  failed_ = !AdoptCells();
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
    const double change = slack_ms_ / std::max(0.1, Milliseconds(max_operation_).count());
    if (n == n_piece_ || change < 1) {
      n_piece_ = static_cast<int32_t>(n * std::clamp(change, 0.5, 2.0));
      n_piece_ = std::clamp(n_piece_, std::min(kMinPiece, n_ubatch_), n_ubatch_);
    }
  }
}

// Gives each row the cells of its computed tokens; the source may have held more of them.
bool BackgroundContext::AdoptCells() noexcept {
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

// Computes the next tokens of all rows, at most n_piece_.
bool BackgroundContext::ComputePiece() noexcept {
  within_piece_ = true;
  max_operation_ = {};
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
      const auto tokens = row.tokens.subspan(row.n_computed, n);
      batch_.Add(static_cast<llama_seq_id>(i), row.n_computed, tokens, 0);
    }
    done = batch_.DecodeIn(context_.get()) == DecodeStatus::kOk && !stops();
    for (size_t i = 0; done && i < rows_.size(); ++i) rows_[i].n_computed = ends[i];
  } catch (...) {
    // Handled like any other failure: the sequences are computed in batches.
  }
  within_piece_ = false;
  return done;
}

bool BackgroundContext::stops() const {
  return abandoned_.load(std::memory_order_relaxed) || aborting_->load(std::memory_order_relaxed);
}

// Pauses only after long operations; the ones between take no measurable time. Returning false
// makes llama.cpp skip the rest of the graph and report success. An abort callback would have the
// same effect, with errors in the log.
bool BackgroundContext::OnTensor(const ggml_tensor* tensor, bool asks) {
  if (asks) {
    return tensor->op == GGML_OP_MUL_MAT || tensor->op == GGML_OP_MUL_MAT_ID ||
           tensor->op == GGML_OP_FLASH_ATTN_EXT;
  }
  max_operation_ = std::max(max_operation_, Clock::now() - began_at_);
  // Half of an operation is the expected overrun: slices keep their time on average.
  slices_->PauseIfDue(max_operation_ / 2);
  began_at_ = Clock::now();
  return !stops();
}

bool BackgroundContext::Read(SequenceId id) {
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

// Keeps the buffer for the next row.
bool BackgroundContext::WriteTo(CacheId to) {
  read_id_.reset();
  return main_->WriteCells(to, &outgoing_);
}

void BackgroundContext::EndMoves() {
  outgoing_ = CellBytes{};
  read_id_.reset();
}

void BackgroundContext::Abandon() {
  abandoned_.store(true, std::memory_order_relaxed);
  thread_.reset();
  incoming_ = CellBytes{};
  EndMoves();
  rows_.clear();
  llama_memory_clear(llama_get_memory(context_.get()), /*data=*/false);
}
