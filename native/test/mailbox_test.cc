#include "mailbox.h"

#include <doctest.h>

#include <thread>
#include <vector>

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
    for (const Message& message : mailbox.WaitAndTakeAll()) {
      CHECK(message.number == next[message.writer]++);
      ++n;
    }
  }
  for (auto& writer : writers) writer.join();
  CHECK(mailbox.TakeAll().empty());
}
