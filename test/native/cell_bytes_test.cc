#include "core/cell_bytes.h"

#include <doctest.h>

#include <cstring>

namespace {

CellBytes Bytes(const std::vector<uint32_t>& words) {
  CellBytes bytes(words.size() * sizeof(uint32_t));
  std::memcpy(bytes.data(), words.data(), bytes.size());
  return bytes;
}

constexpr uint32_t kMagic = 0xcafe;

}  // namespace

TEST_CASE("cells of any stream become those of the only one, and the first of many") {
  // Two cells of three words, the last of which is 0.
  for (const auto& streams : std::vector<std::vector<uint32_t>>{
           {2, 7, 8, 9, 0, 0, 0}, {0, 2, 7, 8, 9, 0, 0}, {0, 0, 2, 7, 8, 9, 0}}) {
    std::vector<uint32_t> words{kMagic, 5, 3};
    words.insert(words.end(), streams.begin(), streams.end());
    CellBytes cells = Bytes(words);
    REQUIRE(Restream(1, &cells));
    CHECK(cells == Bytes({kMagic, 5, 1, 2, 7, 8, 9, 0}));
    REQUIRE(Restream(4, &cells));
    CHECK(cells == Bytes({kMagic, 5, 4, 2, 7, 8, 9, 0, 0, 0, 0}));
  }
}

TEST_CASE("a sequence without cells stays one") {
  CellBytes cells = Bytes({kMagic, 0, 2, 0, 0});
  REQUIRE(Restream(1, &cells));
  CHECK(cells == Bytes({kMagic, 0, 1, 0}));
}

TEST_CASE("what is laid out otherwise is refused") {
  for (CellBytes cells :
       {CellBytes{}, CellBytes{1, 2, 3}, Bytes({kMagic, 5}), Bytes({kMagic, 5, 0}),
        Bytes({kMagic, 5, 3, 0, 0}), Bytes({kMagic, 5, 3, 1, 7, 8, 9})}) {
    CHECK(!Restream(1, &cells));
  }
  CellBytes cells = Bytes({kMagic, 5, 1, 0});
  CHECK(!Restream(0, &cells));
}
