#include "schedule/embed_planner.h"

#include <doctest.h>

#include <map>
#include <random>
#include <set>
#include <utility>

namespace {

std::vector<std::pair<EmbedRequestId, int32_t>> InputsOf(const std::vector<EmbedPiece>& pieces) {
  std::vector<std::pair<EmbedRequestId, int32_t>> inputs;
  for (const EmbedPiece& piece : pieces) inputs.emplace_back(piece.request, piece.input);
  return inputs;
}

using Inputs = std::vector<std::pair<EmbedRequestId, int32_t>>;

}  // namespace

TEST_CASE("without requests there is nothing to compute") {
  EmbedPlanner planner({.n_batch = 8});
  CHECK(planner.Plan().empty());
}

TEST_CASE("a batch takes whole inputs until none fits any more") {
  EmbedPlanner planner({.n_batch = 8});
  planner.Add(1, {3, 4, 2, 1});
  const auto pieces = planner.Plan();
  CHECK(InputsOf(pieces) == Inputs{{1, 0}, {1, 1}});
  CHECK(pieces[0].sequence != pieces[1].sequence);
  CHECK(pieces[1].n_tokens == 4);
  CHECK(pieces[1].is_last);
  CHECK(InputsOf(planner.Plan()) == Inputs{{1, 2}, {1, 3}});
  CHECK(planner.n_requests() == 0);
  CHECK(planner.Plan().empty());
}

TEST_CASE("a batch takes so many inputs and no more") {
  EmbedPlanner planner({.n_batch = 100, .n_inputs = 2});
  planner.Add(1, {1, 1, 1});
  CHECK(planner.Plan().size() == 2);
  CHECK(planner.Plan().size() == 1);
}

TEST_CASE("requests take turns") {
  EmbedPlanner planner({.n_batch = 4});
  planner.Add(1, {2, 2, 2, 2});
  planner.Add(2, {2});
  CHECK(InputsOf(planner.Plan()) == Inputs{{1, 0}, {2, 0}});
  CHECK(InputsOf(planner.Plan()) == Inputs{{1, 1}, {1, 2}});
}

TEST_CASE("an input that finds no room begins one of the next batches") {
  EmbedPlanner planner({.n_batch = 4});
  planner.Add(1, {1, 1, 1, 1, 1, 1, 1, 1});
  planner.Add(2, {4});
  bool found = false;
  for (int i = 0; i < 3 && !found; ++i) found = InputsOf(planner.Plan()) == Inputs{{2, 0}};
  CHECK(found);
}

TEST_CASE("an input longer than a batch comes in pieces, with one sequence id of its own") {
  EmbedPlanner planner({.n_batch = 4});
  planner.Add(1, {10});
  std::vector<int32_t> firsts;
  for (auto pieces = planner.Plan(); !pieces.empty(); pieces = planner.Plan()) {
    REQUIRE(pieces.size() == 1);
    CHECK(pieces[0].sequence == 0);
    CHECK(pieces[0].is_last == (pieces[0].first == 8));
    firsts.push_back(pieces[0].first);
  }
  CHECK(firsts == std::vector<int32_t>{0, 4, 8});
}

TEST_CASE("beside an input in pieces others get every second batch") {
  EmbedPlanner planner({.n_batch = 4});
  planner.Add(1, {12});
  CHECK(InputsOf(planner.Plan()) == Inputs{{1, 0}});
  planner.Add(2, {2, 3});
  CHECK(InputsOf(planner.Plan()) == Inputs{{2, 0}});
  CHECK(InputsOf(planner.Plan()) == Inputs{{1, 0}});
  CHECK(InputsOf(planner.Plan()) == Inputs{{2, 1}});
  CHECK(planner.Plan()[0].is_last);
}

TEST_CASE("where inputs stay whole a long one is computed alone") {
  EmbedPlanner planner({.n_batch = 4, .whole_inputs = true});
  planner.Add(1, {10, 1});
  const auto pieces = planner.Plan();
  REQUIRE(pieces.size() == 1);
  CHECK(pieces[0].n_tokens == 10);
  CHECK(pieces[0].is_last);
  CHECK(InputsOf(planner.Plan()) == Inputs{{1, 1}});
}

TEST_CASE("a removed request is computed no further") {
  EmbedPlanner planner({.n_batch = 4});
  planner.Add(1, {12, 1});
  planner.Add(2, {1});
  planner.Plan();
  planner.Remove(1);
  planner.Remove(3);
  CHECK(InputsOf(planner.Plan()) == Inputs{{2, 0}});
  CHECK(planner.Plan().empty());
}

TEST_CASE("random requests: every token is computed once, in order, within the limits") {
  std::mt19937 random(7);
  const auto number = [&](int32_t least, int32_t most) {
    return std::uniform_int_distribution<int32_t>(least, most)(random);
  };
  for (int round = 0; round < 200; ++round) {
    const EmbedLimits limits{
        .n_batch = number(1, 20), .n_inputs = number(1, 5), .whole_inputs = number(0, 1) == 1};
    EmbedPlanner planner(limits);
    std::map<std::pair<EmbedRequestId, int32_t>, int32_t> missing;
    EmbedRequestId last_id = 0;
    int n_idle = 0;
    for (int step = 0; n_idle < 2; ++step) {
      if (step < 20) {
        std::vector<int32_t> sizes(number(1, 6));
        for (size_t i = 0; i < sizes.size(); ++i) {
          sizes[i] = number(1, 40);
          missing[{last_id + 1, static_cast<int32_t>(i)}] = sizes[i];
        }
        planner.Add(++last_id, sizes);
      }
      if (step < 20 && number(0, 9) == 0) {
        const EmbedRequestId removed = number(1, static_cast<int32_t>(last_id));
        planner.Remove(removed);
        std::erase_if(missing, [&](const auto& each) { return each.first.first == removed; });
      }
      const auto pieces = planner.Plan();
      n_idle = pieces.empty() ? n_idle + 1 : 0;
      CHECK(static_cast<int32_t>(pieces.size()) <= limits.n_inputs);
      int32_t n_tokens = 0;
      std::set<int32_t> sequences;
      for (const EmbedPiece& piece : pieces) {
        n_tokens += piece.n_tokens;
        CHECK(sequences.insert(piece.sequence).second);
        CHECK(piece.sequence <= limits.n_inputs);
        auto found = missing.find({piece.request, piece.input});
        REQUIRE(found != missing.end());
        found->second -= piece.n_tokens;
        CHECK(piece.is_last == (found->second == 0));
        if (piece.is_last) missing.erase(found);
      }
      const bool is_alone = limits.whole_inputs && pieces.size() == 1;
      CHECK((n_tokens <= limits.n_batch || is_alone));
    }
    CHECK(missing.empty());
  }
}
