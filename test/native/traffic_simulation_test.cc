// The scheduler beside llama-server's rule on machines of equal speed: what the rule of pacing is
// worth by itself.
#include "traffic_simulation.h"

#include <doctest.h>

#include <array>
#include <string>

namespace {

constexpr std::array<Machine, 3> kMachines = {{
    // As measured: tools/traffic-bench.
    {"135M on two cores", 5, 0.45},
    {"1B on two cores", 30, 3.2},
    {"8B on a GPU", 12, 0.08},
}};
constexpr std::array<Mix, 3> kMixes = {Mix::kChat, Mix::kEditor, Mix::kRetrieval};
constexpr int32_t kSlots = 4;

struct Comparison {
  Experience ours;
  Experience theirs;

  double throughput() const { return ours.tokens_per_second / theirs.tokens_per_second; }
  double first_token(double share) const {
    return Percentile(ours.first_token_ms, share) / Percentile(theirs.first_token_ms, share);
  }
  double gap(double share) const {
    return Percentile(ours.gap_ms, share) / Percentile(theirs.gap_ms, share);
  }
};

template <typename Body>
void ForEachTraffic(Body body) {
  for (const Machine& machine : kMachines) {
    for (const Mix mix : kMixes) {
      for (const size_t n_users : {2, 4, 8, 16}) {
        const Traffic traffic = DrawTraffic(mix, n_users, 6, 1);
        CAPTURE(std::string(machine.name));
        CAPTURE(std::string(traffic.name));
        CAPTURE(n_users);
        body(Comparison{SimulateScheduler(machine, traffic, kSlots),
                        SimulateWholePrompts(machine, traffic, kSlots)});
      }
    }
  }
}

}  // namespace

TEST_CASE("on equal machines, throughput is that of whole prompts") {
  ForEachTraffic([](const Comparison& comparison) { CHECK(comparison.throughput() > 0.94); });
}

TEST_CASE("on equal machines, most tokens come as fast as when prompts are computed whole") {
  ForEachTraffic([](const Comparison& comparison) { CHECK(comparison.gap(0.5) <= 1.001); });
}

TEST_CASE("on equal machines, the longest gaps are a fraction where whole prompts stall for long") {
  ForEachTraffic([](const Comparison& comparison) {
    const double theirs = Percentile(comparison.theirs.gap_ms, 0.99);
    // Half a second is what people notice.
    if (theirs > 400) CHECK(comparison.gap(0.99) < 0.55);
  });
}

TEST_CASE("on equal machines, first tokens come about as soon") {
  double sum = 0;
  int n = 0;
  ForEachTraffic([&](const Comparison& comparison) {
    CHECK(comparison.first_token(0.5) < 1.5);
    CHECK(comparison.first_token(0.9) < 1.4);
    sum += comparison.first_token(0.5) + comparison.first_token(0.9);
    n += 2;
  });
  CHECK(sum / n < 1.05);
}
