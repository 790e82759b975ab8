#include "mailbox.h"

#include <doctest.h>

#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

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
    for (const Message& message : mailbox.WaitAndTakeAll(0ms, 0ms)) {
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
  CHECK(mailbox.WaitAndTakeAll(500ms, 5000ms) == std::vector<int>{0, 1, 2, 3, 4});
  sender.join();
}

TEST_CASE("a sender that never rests is not waited for without end") {
  Mailbox<int> mailbox;
  std::atomic<bool> over{false};
  std::thread sender([&] {
    while (!over) mailbox.Push(1);
  });
  CHECK(!mailbox.WaitAndTakeAll(10ms, 30ms).empty());
  over = true;
  sender.join();
}
