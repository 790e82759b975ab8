#include "core/mailbox.h"

#include <doctest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

bool Nothing() { return false; }

}  // namespace

TEST_CASE("every message of several writers arrives once and in its writer's order") {
  constexpr int kWriters = 4;
  constexpr int kEach = 2000;
  struct Message {
    int writer;
    int number;
  };
  Mailbox<Message> mailbox;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&mailbox, writer] {
      for (int number = 0; number < kEach; ++number) mailbox.Push({writer, number});
    });
  }
  std::vector<int> next(kWriters, 0);
  for (int n = 0; n < kWriters * kEach;) {
    for (const Message& message : mailbox.WaitAndTakeAll(0ms, 0ms, Nothing)) {
      CHECK(message.number == next[message.writer]++);
      ++n;
    }
  }
  for (auto& writer : writers) writer.join();
  CHECK(mailbox.TakeAll().empty());
}

TEST_CASE("what comes soon after the first message is taken with it") {
  Mailbox<int> mailbox;
  std::thread sender([&] {
    for (int i = 0; i < 5; ++i) {
      mailbox.Push(i);
      std::this_thread::sleep_for(1ms);
    }
  });
  CHECK(mailbox.WaitAndTakeAll(500ms, 5000ms, Nothing) == std::vector<int>{0, 1, 2, 3, 4});
  sender.join();
}

TEST_CASE("without quiet only what is there is taken") {
  Mailbox<int> mailbox;
  mailbox.Push(1);
  mailbox.Push(2);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(mailbox.WaitAndTakeAll(0ms, 20'000ms, Nothing) == std::vector<int>{1, 2});
  CHECK(std::chrono::steady_clock::now() - begin < 10'000ms);
}

TEST_CASE("a sender that never rests is not waited for without end") {
  Mailbox<int> mailbox;
  std::atomic<bool> over{false};
  std::thread sender([&] {
    while (!over) mailbox.Push(1);
  });
  CHECK(!mailbox.WaitAndTakeAll(10ms, 30ms, Nothing).empty());
  over = true;
  sender.join();
}

TEST_CASE("what is known to be on its way is waited for, and not longer than that") {
  Mailbox<int> mailbox;
  std::atomic<int> n_coming{1};
  mailbox.Push(1);
  std::thread sender([&] {
    std::this_thread::sleep_for(30ms);
    mailbox.Push(2);
    n_coming = 0;
  });
  const auto begin = std::chrono::steady_clock::now();
  CHECK(mailbox.WaitAndTakeAll(0ms, 20'000ms, [&] { return n_coming > 0; }) ==
        std::vector<int>{1, 2});
  CHECK(std::chrono::steady_clock::now() - begin < 10'000ms);
  sender.join();

  mailbox.Push(3);
  CHECK(mailbox.WaitAndTakeAll(1ms, 20ms, [] { return true; }) == std::vector<int>{3});
}

TEST_CASE("closing wakes the reader, and from then on it takes what is there") {
  Mailbox<int> mailbox;
  std::thread closer([&] { mailbox.Close(); });
  CHECK(mailbox.WaitAndTakeAll(0ms, 0ms, Nothing).empty());
  closer.join();
  mailbox.Push(1);
  const auto more_to_come = [] { return true; };
  CHECK(mailbox.WaitAndTakeAll(10'000ms, 20'000ms, more_to_come) == std::vector<int>{1});
  CHECK(mailbox.WaitAndTakeAll(10'000ms, 20'000ms, more_to_come).empty());
}
