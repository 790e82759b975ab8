#include "core/pooled_vector.h"

#include <doctest.h>

#include <limits>

TEST_CASE("a mean counts every token of every piece once") {
  PooledVector vector(Pooling::kMean);
  vector.Add(std::vector<float>{1, 0}, 2);
  vector.Add(std::vector<float>{4, 3}, 1);
  CHECK(vector.values()[0] == doctest::Approx(2));
  CHECK(vector.values()[1] == doctest::Approx(1));
}

TEST_CASE("first, last and rank take the piece their token is in") {
  const auto pooled = [](Pooling pooling) {
    PooledVector vector(pooling);
    vector.Add(std::vector<float>{1}, 2);
    vector.Add(std::vector<float>{2}, 2);
    return vector.values()[0];
  };
  CHECK(pooled(Pooling::kCls) == 1);
  CHECK(pooled(Pooling::kLast) == 2);
  CHECK(pooled(Pooling::kRank) == 2);
}

TEST_CASE("normalising scales what is kept to a norm of one") {
  std::vector<float> target(2);
  CHECK(NormaliseInto(std::vector<float>{3, 4, 100}, target));
  CHECK(target[0] == doctest::Approx(0.6));
  CHECK(target[1] == doctest::Approx(0.8));
}

TEST_CASE("zeros have no direction and stay zeros") {
  std::vector<float> target{1, 1};
  CHECK(NormaliseInto(std::vector<float>{0, 0}, target));
  CHECK(target == std::vector<float>{0, 0});
}

TEST_CASE("tiny and huge values keep their direction") {
  std::vector<float> target(2);
  CHECK(NormaliseInto(std::vector<float>{3e-30f, 4e-30f}, target));
  CHECK(target[1] == doctest::Approx(0.8));
  CHECK(NormaliseInto(std::vector<float>{3e37f, 4e37f}, target));
  CHECK(target[1] == doctest::Approx(0.8));
}

TEST_CASE("what is no number is told") {
  std::vector<float> target(1);
  CHECK_FALSE(NormaliseInto(std::vector<float>{std::numeric_limits<float>::quiet_NaN()}, target));
  CHECK_FALSE(NormaliseInto(std::vector<float>{std::numeric_limits<float>::infinity()}, target));
}
