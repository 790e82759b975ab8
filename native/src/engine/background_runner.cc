#include "engine/background_runner.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

BackgroundRunner::BackgroundRunner(BackgroundContext* background, Context* context,
                                   Scheduler* scheduler, Completions* completions,
                                   Statistics* statistics)
    : background_(background),
      context_(context),
      scheduler_(scheduler),
      completions_(completions),
      statistics_(statistics) {}

void BackgroundRunner::Follow(const StepPlan& plan) {
  if (!plan.background && !background_->rows().empty()) background_->Abandon();
}

void BackgroundRunner::Run(const BackgroundWork& work, double batch_ms) {
  const bool begins = !Holds(work);
  if (!begins) SetTargets(work);
  const bool computes = !begins && !HasRead(work) && background_->is_busy();
  const bool moves_cells = begins ? work.shares[0].first > 0 : !computes;
  if (moves_cells && context_->has_pending_copies()) {
    // The next batch performs the copies; the sequences of this work join that batch.
    Fail(work);
  } else if (begins) {
    Begin(work);
  } else if (computes) {
    Compute(work, work.as_batch ? std::max(work.ms, batch_ms) : work.ms);
  } else {
    Move(work);
  }
}

// The cache may be ahead of a row: it then holds more tokens than the row has computed.
bool BackgroundRunner::Holds(const BackgroundWork& work) {
  return std::ranges::all_of(work.shares, [this](const BackgroundShare& share) {
    const BackgroundContext::Row* row = background_->Find(share.id);
    return row != nullptr && row->n_computed >= share.first;
  });
}

bool BackgroundRunner::HasRead(const BackgroundWork& work) {
  return std::ranges::any_of(
      work.shares, [this](const BackgroundShare& share) { return background_->HasRead(share.id); });
}

void BackgroundRunner::SetTargets(const BackgroundWork& work) {
  for (BackgroundContext::Row& row : background_->rows()) {
    row.tokens = {};
    row.n_target = row.n_computed;
  }
  for (const BackgroundShare& share : work.shares) {
    BackgroundContext::Row* row = background_->Find(share.id);
    row->tokens = scheduler_->tokens(share.id);
    row->n_target = share.first + share.n_tokens;
  }
}

void BackgroundRunner::Begin(const BackgroundWork& work) {
  std::vector<BackgroundContext::Row> rows;
  for (const BackgroundShare& share : work.shares) {
    completions_->at(share.id).MarkStarted(Clock::now(), share.first);
    rows.push_back({.id = share.id, .n_computed = share.first, .n_target = share.first});
  }
  if (!background_->Begin(std::move(rows), work.shares[0].cache_id)) Fail(work);
}

void BackgroundRunner::Compute(const BackgroundWork& work, double ms) {
  const Clock::time_point begin = Clock::now();
  const bool goes_on = background_->Run(ms, work.slack_ms);
  statistics_->CountDecode(background_->last_effort().n_calls, MillisecondsSince(begin));
  statistics_->CountBackground(background_->last_effort().n_tokens);
  if (!goes_on) Fail(work);
}

// Moves all computed tokens of each share, whatever the targets are by now. Reading the cells of a
// long prompt may take as long as a step may last, and so may writing them: when the time is over,
// the rest follows in the next step.
void BackgroundRunner::Move(const BackgroundWork& work) {
  const Clock::time_point begin = Clock::now();
  for (const BackgroundShare& share : work.shares) {
    if (MillisecondsSince(begin) >= work.ms) return;
    if (!background_->HasRead(share.id)) {
      if (!background_->Read(share.id)) {
        scheduler_->BackgroundFailed(share, /*emptied=*/false);
        continue;
      }
      if (MillisecondsSince(begin) >= work.ms) return;
    }
    if (!background_->WriteTo(share.cache_id)) {
      scheduler_->BackgroundFailed(share, /*emptied=*/true);
      continue;
    }
    const int32_t n_new = background_->Find(share.id)->n_computed - share.first;
    scheduler_->CommitBackground(share, n_new);
    statistics_->CountComputed(share.first, n_new, &completions_->at(share.id));
  }
  background_->EndMoves();
}

void BackgroundRunner::Fail(const BackgroundWork& work) {
  for (const BackgroundShare& share : work.shares)
    scheduler_->BackgroundFailed(share, /*emptied=*/false);
}
