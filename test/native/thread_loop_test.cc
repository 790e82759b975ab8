#include "core/thread_loop.h"

#include <doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct Ended {
  int id = 0;
  std::string how;
};

// Where the worker throws.
enum class Fault { kNone, kOpen, kHandle, kStep };

// Counts each request down to 0, one in each step.
class Countdown {
 public:
  struct Message {
    int id = 0;
    int n_steps = 0;
  };
  struct Facts {
    int n = 0;
  };
  using Event = std::variant<Started<Facts>, Ended, Failed, Stopped>;

  Countdown(ThreadLink<Event> link, Fault fault, std::atomic<bool>* freed)
      : link_(link), fault_(fault), freed_(freed) {}

  Facts Open() {
    ThrowIf(Fault::kOpen);
    return {.n = 7};
  }
  std::vector<Message> Receive(Mailbox<Message>* mailbox, bool idle) {
    const auto more_to_come = [] { return false; };
    return idle ? mailbox->WaitAndTakeAll(0ms, 0ms, more_to_come) : mailbox->TakeAll();
  }
  void Handle(Message message) {
    ThrowIf(Fault::kHandle);
    running_.push_back(message);
  }
  bool Step() {
    if (running_.empty()) return false;
    ThrowIf(Fault::kStep);
    for (Message& each : running_) {
      if (--each.n_steps == 0) link_.events->Emit(Ended{each.id, "done"});
    }
    std::erase_if(running_, [](const Message& each) { return each.n_steps == 0; });
    return true;
  }
  void End(std::vector<Message> unhandled, const std::optional<std::string>& failure) noexcept {
    std::ranges::copy(unhandled, std::back_inserter(running_));
    for (const Message& each : running_) {
      link_.events->Emit(Ended{each.id, failure ? *failure : "cancelled"});
    }
    freed_->store(true);
  }

 private:
  void ThrowIf(Fault fault) const {
    if (fault_ == fault) throw std::runtime_error("broken");
  }

  const ThreadLink<Event> link_;
  const Fault fault_;
  std::atomic<bool>* const freed_;
  std::vector<Message> running_;
};

// Receives on the native thread, is asked from the test's.
class Listener {
 public:
  void Add(std::vector<Countdown::Event> events) {
    const std::lock_guard lock(mutex_);
    for (auto& event : events) events_.push_back(std::move(event));
  }
  std::vector<Countdown::Event> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  template <class Kind>
  std::vector<Kind> all() const {
    std::vector<Kind> found;
    for (const auto& event : events()) {
      if (const auto* kind = std::get_if<Kind>(&event)) found.push_back(*kind);
    }
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Countdown::Event> events_;
};

struct Fixture {
  Listener listener;
  std::atomic<bool> freed{false};
  std::optional<ThreadLoop<Countdown>> loop;

  void Start(Fault fault = Fault::kNone) {
    loop.emplace([this](std::vector<Countdown::Event> events) { listener.Add(std::move(events)); },
                 fault, &freed);
  }
  void CloseAndJoin() {
    loop->RequestClose();
    loop->Join();
  }
};

constexpr int kForever = 1'000'000'000;

}  // namespace

TEST_CASE("a thread starts once, first, and stops once, last, with all resources freed") {
  Fixture fixture;
  fixture.Start();
  fixture.CloseAndJoin();
  const auto events = fixture.listener.events();
  // It may have been closed before it had opened, and opens all the same.
  REQUIRE(events.size() == 2);
  REQUIRE(std::holds_alternative<Started<Countdown::Facts>>(events[0]));
  CHECK(std::get<Started<Countdown::Facts>>(events[0]).facts.n == 7);
  CHECK(std::holds_alternative<Stopped>(events[1]));
  CHECK(fixture.freed);
}

TEST_CASE("requests of several threads are computed, and each ends once") {
  Fixture fixture;
  fixture.Start();
  std::vector<std::thread> senders;
  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([&fixture, sender] {
      for (int i = 0; i < 50; ++i)
        fixture.loop->Send({.id = sender * 50 + i, .n_steps = 1 + i % 3});
    });
  }
  for (auto& sender : senders) sender.join();
  while (fixture.listener.all<Ended>().size() < 200) std::this_thread::yield();
  fixture.CloseAndJoin();
  auto ended = fixture.listener.all<Ended>();
  REQUIRE(ended.size() == 200);
  std::ranges::sort(ended, {}, &Ended::id);
  for (int id = 0; id < 200; ++id) {
    CHECK(ended[id].id == id);
    CHECK(ended[id].how == "done");
  }
}

TEST_CASE("closing cancels running and unhandled requests, and can be repeated") {
  Fixture fixture;
  fixture.Start();
  for (int id = 0; id < 20; ++id) fixture.loop->Send({.id = id, .n_steps = kForever});
  fixture.CloseAndJoin();
  fixture.CloseAndJoin();
  const auto ended = fixture.listener.all<Ended>();
  REQUIRE(ended.size() == 20);
  for (const Ended& each : ended) CHECK(each.how == "cancelled");
  CHECK(fixture.listener.all<Failed>().empty());
  CHECK(std::holds_alternative<Stopped>(fixture.listener.events().back()));
}

TEST_CASE("closing wakes an idle thread") {
  Fixture fixture;
  fixture.Start();
  while (fixture.listener.events().empty()) std::this_thread::yield();
  fixture.CloseAndJoin();
  CHECK(fixture.listener.all<Stopped>().size() == 1);
}

TEST_CASE("a failure ends each request with its reason, then the thread") {
  for (const Fault fault : {Fault::kOpen, Fault::kHandle, Fault::kStep}) {
    Fixture fixture;
    fixture.Start(fault);
    fixture.loop->Send({.id = 1, .n_steps = 3});
    fixture.loop->Join();
    const auto events = fixture.listener.events();
    REQUIRE(events.size() >= 2);
    CHECK(std::holds_alternative<Stopped>(events.back()));
    REQUIRE(std::holds_alternative<Failed>(events[events.size() - 2]));
    CHECK(std::get<Failed>(events[events.size() - 2]).message == "broken");
    CHECK(fixture.listener.all<Started<Countdown::Facts>>().size() ==
          (fault == Fault::kOpen ? 0 : 1));
    for (const Ended& each : fixture.listener.all<Ended>()) CHECK(each.how == "broken");
    CHECK(fixture.freed);
  }
}

TEST_CASE("the destructor closes and joins") {
  Fixture fixture;
  fixture.Start();
  fixture.loop->Send({.id = 1, .n_steps = kForever});
  fixture.loop.reset();
  CHECK(fixture.listener.all<Ended>().size() == 1);
  CHECK(fixture.listener.all<Stopped>().size() == 1);
}

TEST_CASE("several threads may close and join at the same time") {
  Fixture fixture;
  fixture.Start();
  std::vector<std::thread> closers;
  for (int i = 0; i < 4; ++i) closers.emplace_back([&fixture] { fixture.CloseAndJoin(); });
  for (auto& closer : closers) closer.join();
  CHECK(fixture.listener.all<Stopped>().size() == 1);
}
