// Takes messages from the engine's mailbox. After a rest it gathers requests that arrive together:
// prefilling them together takes a fraction of the time of one prefill after the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/burst_predictor.h"
#include "core/mailbox.h"
#include "engine/messages.h"

class Intake {
 public:
  Intake();

  // Any thread. A prompt is being prepared: until the last copy of the result is gone, gathering
  // waits for its request.
  std::shared_ptr<void> Announce();

  // Engine thread. All messages that have arrived. An `idle` engine waits for the first one, then
  // for requests that are expected to follow.
  std::vector<EngineMessage> Receive(Mailbox<EngineMessage>* mailbox, bool idle);

 private:
  // Prompts being prepared. Shared with the announcements, which may outlive this object.
  const std::shared_ptr<std::atomic<int32_t>> n_announced_;
  // Engine thread.
  BurstPredictor bursts_;
  Clock::time_point last_submit_{};
};
