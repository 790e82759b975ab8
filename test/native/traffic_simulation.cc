#include "traffic_simulation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <random>

#include "schedule/scheduler.h"

namespace {

constexpr int32_t kContextLength = 16'384;
constexpr int32_t kPhysicalBatch = 512;
constexpr int32_t kPeerBatch = 2048;

int32_t Between(int32_t least, int32_t most, std::mt19937* random) {
  return least + static_cast<int32_t>((*random)() % static_cast<uint32_t>(most - least + 1));
}

std::vector<SimulatedTurn> DrawConversation(Mix mix, std::mt19937* random) {
  std::vector<SimulatedTurn> turns;
  switch (mix) {
    case Mix::kChat:
      for (int i = 0; i < 3; ++i) {
        turns.push_back({Between(27, 160, random), Between(16, 96, random), i == 0 ? 0.0 : 500.0});
      }
      break;
    case Mix::kEditor:
      turns.push_back({Between(500, 1500, random), 20, 0});
      break;
    case Mix::kRetrieval:
      turns.push_back({Between(2000, 6000, random), 100, 0});
      break;
    case Mix::kAgents:
      for (int i = 0; i < 4; ++i) turns.push_back({Between(300, 500, random), 200, 0});
      break;
  }
  return turns;
}

// A request under way, as its user sees it.
struct Request {
  size_t user;
  int32_t n_cached;  // what a perfect cache would know
  int32_t n_prompt;
  int32_t n_out;
  double sent_ms;
  Token first_reply;  // the reply's tokens are this one and those that follow it
  int32_t n_done = 0;
  double last_token_ms = 0;
};

// The users, who send the next request when the last one has ended.
class Users {
 public:
  explicit Users(const Traffic& traffic) : traffic_(traffic), states_(traffic.users.size()) {
    for (size_t u = 0; u < states_.size(); ++u) Schedule(u, 0);
  }

  // When the next request is sent; infinity when there are no more for now.
  double next_ms() const {
    double next = std::numeric_limits<double>::infinity();
    for (const State& state : states_) next = std::min(next, state.sends_ms);
    return next;
  }

  // Sends the requests that are due. `send(request, tokens)`: the tokens of the prompt.
  template <typename Send>
  void SendDue(double now_ms, Send send) {
    for (size_t u = 0; u < states_.size(); ++u) {
      State& state = states_[u];
      if (state.sends_ms > now_ms) continue;
      const SimulatedTurn& turn = TurnOf(state, u);
      const auto n_cached = static_cast<int32_t>(state.tokens.size());
      if (state.turn == 0) {
        state.tokens.resize(traffic_.n_shared);
        std::iota(state.tokens.begin(), state.tokens.end(), 0);
      }
      Append(turn.n_new, &state);
      const Request request = {
          .user = u,
          .n_cached = state.turn == 0 ? (was_sent_ ? traffic_.n_shared : 0) : n_cached,
          .n_prompt = static_cast<int32_t>(state.tokens.size()),
          .n_out = turn.n_out,
          .sent_ms = state.sends_ms,
          .first_reply = next_token_};
      Append(turn.n_out, &state);
      const std::vector<Token> prompt(state.tokens.begin(), state.tokens.end() - turn.n_out);
      was_sent_ = true;
      state.sends_ms = std::numeric_limits<double>::infinity();
      send(request, prompt);
    }
  }

  // A token has come; true if it was the last one.
  bool Receive(Request* request, double now_ms) {
    if (request->n_done == 0) {
      experience_.first_token_ms.push_back(now_ms - request->sent_ms);
    } else {
      experience_.gap_ms.push_back(now_ms - request->last_token_ms);
    }
    request->last_token_ms = now_ms;
    ++n_tokens_;
    if (++request->n_done < request->n_out) return false;
    State& state = states_[request->user];
    if (++state.turn == traffic_.users[request->user][state.conversation].size()) {
      state.turn = 0;
      ++state.conversation;
      state.tokens.clear();
    }
    Schedule(request->user, now_ms);
    return true;
  }

  Experience Finish(double now_ms) {
    experience_.tokens_per_second = 1000.0 * n_tokens_ / now_ms;
    return std::move(experience_);
  }

 private:
  struct State {
    size_t conversation = 0;
    size_t turn = 0;
    double sends_ms = 0;
    std::vector<Token> tokens = {};
  };

  const SimulatedTurn& TurnOf(const State& state, size_t user) const {
    return traffic_.users[user][state.conversation][state.turn];
  }

  void Schedule(size_t user, double now_ms) {
    State& state = states_[user];
    const bool has_more = state.conversation < traffic_.users[user].size();
    state.sends_ms = has_more ? now_ms + TurnOf(state, user).thinking_ms
                              : std::numeric_limits<double>::infinity();
  }

  // Tokens that no other conversation has.
  void Append(int32_t n, State* state) {
    for (int32_t i = 0; i < n; ++i) state->tokens.push_back(next_token_++);
  }

  const Traffic& traffic_;
  std::vector<State> states_;
  bool was_sent_ = false;
  Token next_token_ = 1'000'000;
  int64_t n_tokens_ = 0;
  Experience experience_;
};

}  // namespace

Traffic DrawTraffic(Mix mix, size_t n_users, size_t n_conversations, uint32_t seed) {
  std::mt19937 random(seed);
  Traffic traffic;
  switch (mix) {
    case Mix::kChat:
      traffic = {"chat", 200, {}};
      break;
    case Mix::kEditor:
      traffic = {"editor", 0, {}};
      break;
    case Mix::kRetrieval:
      traffic = {"retrieval", 0, {}};
      break;
    case Mix::kAgents:
      traffic = {"agents", 11'000, {}};
      break;
  }
  traffic.users.resize(n_users);
  for (auto& user : traffic.users) {
    for (size_t c = 0; c < n_conversations; ++c) user.push_back(DrawConversation(mix, &random));
  }
  return traffic;
}

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(values.size())))];
}

Experience SimulateScheduler(const Machine& machine, const Traffic& traffic, int32_t n_slots) {
  SchedulerLimits limits;
  limits.n_slots = n_slots;
  limits.n_ubatch = kPhysicalBatch;
  // Room for the conversations that wait, as host memory has.
  limits.cache = {.n_ids = n_slots + 32,
                  .n_cells = (n_slots + 32) * kContextLength,
                  .max_stored_tokens = 64 * kContextLength};
  Scheduler scheduler(limits);
  Users users(traffic);
  std::map<SequenceId, Request> requests;
  SequenceId next_id = 0;
  double now_ms = 0;
  while (true) {
    users.SendDue(now_ms, [&](const Request& request, const std::vector<Token>& tokens) {
      scheduler.Add(next_id, tokens, "");
      requests.emplace(next_id++, request);
    });
    if (requests.empty()) {
      if (std::isinf(users.next_ms())) break;
      now_ms = users.next_ms();
      continue;
    }
    const StepPlan plan = scheduler.Plan();
    int32_t n_tokens = 0;
    for (const StepWork& work : plan.work) n_tokens += work.n_tokens;
    double step_ms = 0;
    for (int32_t rest = n_tokens; rest > 0; rest -= kPhysicalBatch) {
      step_ms += machine.StepMs(std::min(rest, kPhysicalBatch));
    }
    scheduler.Commit(plan);
    now_ms += step_ms;
    scheduler.Measured(plan, step_ms);
    for (const StepWork& work : plan.work) {
      if (!work.samples) continue;
      const auto request = requests.find(work.id);
      const Token token = request->second.first_reply + request->second.n_done;
      scheduler.Append(work.id, std::vector<Token>{token});
      if (!users.Receive(&request->second, now_ms)) continue;
      scheduler.Finish(work.id);
      requests.erase(request);
    }
  }
  return users.Finish(now_ms);
}

Experience SimulateWholePrompts(const Machine& machine, const Traffic& traffic, int32_t n_slots) {
  Users users(traffic);
  std::vector<Request> waiting;
  struct Slot {
    Request request;
    int32_t n_missing;
  };
  std::vector<std::optional<Slot>> slots(n_slots);
  double now_ms = 0;
  while (true) {
    users.SendDue(now_ms, [&](const Request& request, const std::vector<Token>&) {
      waiting.push_back(request);
    });
    for (auto& slot : slots) {
      if (slot || waiting.empty()) continue;
      const Request& first = waiting.front();
      slot = Slot{first, first.n_prompt - std::min(first.n_cached, first.n_prompt - 1)};
      waiting.erase(waiting.begin());
    }
    int32_t n_tokens = 0;
    std::vector<Slot*> samples;
    for (auto& slot : slots) {
      if (!slot || slot->n_missing > 0) continue;
      ++n_tokens;
      samples.push_back(&*slot);
    }
    for (auto& slot : slots) {
      if (!slot || slot->n_missing == 0) continue;
      const int32_t n = std::min(slot->n_missing, kPeerBatch - n_tokens);
      slot->n_missing -= n;
      n_tokens += n;
      if (slot->n_missing == 0) samples.push_back(&*slot);
    }
    if (n_tokens == 0) {
      if (std::isinf(users.next_ms())) break;
      now_ms = users.next_ms();
      continue;
    }
    for (int32_t rest = n_tokens; rest > 0; rest -= kPhysicalBatch) {
      now_ms += machine.StepMs(std::min(rest, kPhysicalBatch));
    }
    for (auto& slot : slots) {
      if (!slot || std::ranges::find(samples, &*slot) == samples.end()) continue;
      if (users.Receive(&slot->request, now_ms)) slot.reset();
    }
  }
  return users.Finish(now_ms);
}
