#include "engine/intake.h"

#include <chrono>
#include <variant>

namespace {

// Where more requests are expected after a rest, each one waits this long for the next; and as long
// as prompts are being prepared. Gathering takes no longer than a step may.
constexpr std::chrono::microseconds kQuiet{3000};
constexpr std::chrono::microseconds kMaxGathering{50000};

}  // namespace

Intake::Intake() : n_announced_(std::make_shared<std::atomic<int32_t>>(0)), bursts_(kQuiet) {}

std::shared_ptr<void> Intake::Announce() {
  n_announced_->fetch_add(1, std::memory_order_relaxed);
  return {nullptr,
          [count = n_announced_](void*) { count->fetch_sub(1, std::memory_order_relaxed); }};
}

std::vector<EngineMessage> Intake::Receive(Mailbox<EngineMessage>* mailbox, bool idle) {
  const auto more_to_come = [this] { return n_announced_->load(std::memory_order_relaxed) > 0; };
  auto messages = idle ? mailbox->WaitAndTakeAll(bursts_.quiet(), kMaxGathering, more_to_come)
                       : mailbox->TakeAll();
  int32_t n_submits = 0;
  for (const EngineMessage& message : messages) {
    const auto* submit = std::get_if<Submit>(&message);
    if (submit == nullptr) continue;
    ++n_submits;
    if (!idle) bursts_.OnArrival(submit->submitted_at - last_submit_);
    last_submit_ = submit->submitted_at;
  }
  if (idle) bursts_.OnRestEnded(n_submits);
  return messages;
}
