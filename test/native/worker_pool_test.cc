#include "core/worker_pool.h"

#include <doctest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

TEST_CASE("every item is done once, whatever the number of threads") {
  for (const int32_t n_threads : {-1, 0, 1, 2, 5}) {
    WorkerPool pool(n_threads);
    CHECK(pool.n_threads() == std::max(1, n_threads));
    for (const int32_t n_items : {0, 1, 2, 7, 64}) {
      std::vector<int32_t> times(n_items, 0);
      pool.Run(n_items, [&](int32_t item) { ++times[item]; });
      CHECK(times == std::vector<int32_t>(n_items, 1));
    }
  }
}

TEST_CASE("what the items write is there when the job is over") {
  WorkerPool pool(4);
  std::vector<int64_t> values(8);
  for (int64_t round = 0; round < 2000; ++round) {
    pool.Run(8, [&](int32_t item) { values[item] = round * item; });
    CHECK(std::accumulate(values.begin(), values.end(), int64_t{0}) == round * 28);
  }
}

TEST_CASE("items run at the same time") {
  WorkerPool pool(2);
  std::atomic<int> n_waiting{0};
  // Would never end if one thread did both.
  pool.Run(2, [&](int32_t) {
    ++n_waiting;
    while (n_waiting < 2) std::this_thread::yield();
  });
  CHECK(n_waiting == 2);
}

TEST_CASE("a pool that never worked, and one that just did, can go") {
  for (int round = 0; round < 50; ++round) {
    const WorkerPool idle(3);
    WorkerPool busy(3);
    busy.Run(3, [](int32_t) {});
  }
}
