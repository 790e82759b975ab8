#include "core/reasoning_counter.h"

#include <doctest.h>

namespace {

int32_t Count(std::string_view opening, const std::vector<std::string>& pieces) {
  ReasoningCounter counter("<think>", {"</think>", "[done]"}, opening);
  for (const std::string& piece : pieces) counter.Push(piece);
  return counter.n_tokens();
}

}  // namespace

TEST_CASE("reasoning that the prompt has opened ends at its mark") {
  CHECK(Count("assistant\n<think>\n", {"I", " add", "</think>", "\n", "4"}) == 3);
  CHECK(Count("<think>", {"I", "</", "thi", "nk>", "4"}) == 4);
  CHECK(Count("<think>", {"I", "[done] 4", "5"}) == 2);
  CHECK(Count("<think>", {"</think>"}) == 1);
  CHECK(Count("<think>", {"never", " ends"}) == 2);
  CHECK(Count("<think>", {}) == 0);
}

TEST_CASE("reasoning that the model opens is counted with its mark") {
  CHECK(Count("assistant\n", {"<think>", "hm", "</think>", "4"}) == 3);
  CHECK(Count("assistant\n", {"\n", "<th", "ink>hm</think>4", "5"}) == 3);
  CHECK(Count("assistant\n", {"<think", "er>", "</think>"}) == 0);
}

TEST_CASE("without reasoning nothing is counted") {
  CHECK(Count("assistant\n", {"4", "<think>", "x", "</think>"}) == 0);
  CHECK(Count("assistant\n<think>\n\n</think>\n\n", {"4", "<think>", "x"}) == 0);
  CHECK(Count("assistant\n<think>hm[done]", {"4"}) == 0);
  ReasoningCounter none;
  none.Push("<think>");
  CHECK(none.n_tokens() == 0);
  ReasoningCounter no_end("<think>", {""}, "<think>");
  no_end.Push("x");
  CHECK(no_end.n_tokens() == 0);
}
