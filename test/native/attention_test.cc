#include "kernels/attention.h"

#include <doctest.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <thread>
#include <vector>

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint16_t kHidden = 0xfc00;  // minus infinity

float FloatOf(uint16_t half) {
  const int exponent = half >> 10 & 0x1f;
  const float fraction = static_cast<float>(half & 0x3ff) / 1024.0f;
  const float sign = (half & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 0x1f) return sign * kInfinity;
  if (exponent == 0) return sign * std::ldexp(fraction, -14);
  return sign * std::ldexp(1 + fraction, exponent - 15);
}

// The definition, one number at a time, in the order that README.md gives.

float PlainExp(float x) {
  const float bounded = std::max(x, -87.0f);
  // Rounds to an integer.
  const float n = std::fma(bounded, 1.44269504f, 12582912.0f) - 12582912.0f;
  float rest = std::fma(n, -0.693359375f, bounded);
  rest = std::fma(n, 2.12194440e-4f, rest);
  float sum = 1.9875691500e-4f;
  for (const float each :
       {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f}) {
    sum = std::fma(sum, rest, each);
  }
  sum = std::fma(sum, rest * rest, rest + 1.0f);
  return x < -87.0f ? 0.0f : std::ldexp(sum, static_cast<int>(n));
}

float SumOfLanes(std::array<float, kLanes> lanes) {
  for (size_t distance = kLanes / 2; distance > 0; distance /= 2) {
    for (size_t l = 0; l < distance; ++l) lanes[l] += lanes[l + distance];
  }
  return lanes[0];
}

float Score(std::span<const float> query, const uint16_t* key, float scale) {
  std::array<float, kLanes> lanes = {};
  for (size_t i = 0; i < query.size(); ++i) {
    lanes[i % kLanes] = std::fma(query[i] * scale, FloatOf(key[i]), lanes[i % kLanes]);
  }
  return SumOfLanes(lanes);
}

struct PlainSum {
  float maximum = -kInfinity;
  float weight = 0;
  std::vector<float> values;
};

void Merge(const PlainSum& part, PlainSum* total) {
  if (part.weight == 0) return;
  const float maximum = std::max(part.maximum, total->maximum);
  const float part_factor = PlainExp(part.maximum - maximum);
  const float total_factor = PlainExp(total->maximum - maximum);
  total->maximum = maximum;
  total->weight = std::fma(part.weight, part_factor, total->weight * total_factor);
  for (size_t i = 0; i < part.values.size(); ++i) {
    total->values[i] = std::fma(part.values[i], part_factor, total->values[i] * total_factor);
  }
}

struct RowAt {
  size_t stream;
  size_t token;
  size_t head;
};

size_t Offset(const HeadStrides& strides, size_t position, size_t head, size_t stream) {
  return position * strides.position + head * strides.head + stream * strides.stream;
}

void ReadTile(const Attention& attention, RowAt row, size_t first, PlainSum* sum) {
  const size_t kv_head = row.head / (attention.n_heads / attention.n_kv_heads);
  const std::span query(
      attention.queries + Offset(attention.query_strides, row.token, row.head, row.stream),
      attention.key_size);
  std::array<float, kTileCells> scores;
  float maximum = -kInfinity;
  for (size_t c = 0; c < kTileCells; ++c) {
    const size_t cell = first + c;
    scores[c] =
        Score(query, attention.keys + Offset(attention.key_strides, cell, kv_head, row.stream),
              attention.scale);
    if (attention.mask != nullptr) {
      const size_t place = Offset(attention.mask_strides, row.token, 0, row.stream) + cell;
      scores[c] += FloatOf(attention.mask[place]);
    }
    maximum = std::max(maximum, scores[c]);
  }
  if (maximum == -kInfinity) return;
  float factor = 1;
  if (maximum > sum->maximum) {
    factor = PlainExp(sum->maximum - maximum);
    sum->maximum = maximum;
    for (float& each : sum->values) each *= factor;
  }
  std::array<float, kLanes> weights = {};
  for (size_t c = 0; c < kTileCells; ++c) {
    scores[c] = PlainExp(scores[c] - sum->maximum);
    weights[c % kLanes] += scores[c];
  }
  sum->weight = std::fma(sum->weight, factor, SumOfLanes(weights));
  for (size_t c = 0; c < kTileCells; ++c) {
    const uint16_t* value =
        attention.values + Offset(attention.value_strides, first + c, kv_head, row.stream);
    for (size_t i = 0; i < attention.value_size; ++i) {
      sum->values[i] = std::fma(scores[c], FloatOf(value[i]), sum->values[i]);
    }
  }
}

std::vector<float> Expected(const Attention& attention, RowAt row) {
  PlainSum total;
  total.values.resize(attention.value_size);
  for (size_t first = 0; first < attention.n_cells; first += kSpanCells) {
    PlainSum part;
    part.values.resize(attention.value_size);
    const size_t end = std::min(first + kSpanCells, attention.n_cells);
    for (size_t cell = first; cell < end; cell += kTileCells) {
      ReadTile(attention, row, cell, &part);
    }
    Merge(part, &total);
  }
  if (attention.sinks != nullptr) {
    Merge({attention.sinks[row.head], 1, std::vector<float>(attention.value_size)}, &total);
  }
  const float factor = total.weight == 0 ? 0 : 1 / total.weight;
  for (float& each : total.values) each *= factor;
  return total.values;
}

// What textbooks say, in double precision.
std::vector<double> Exact(const Attention& attention, RowAt row) {
  const size_t kv_head = row.head / (attention.n_heads / attention.n_kv_heads);
  std::vector<double> scores(attention.n_cells);
  double maximum = attention.sinks == nullptr ? -kInfinity : attention.sinks[row.head];
  for (size_t c = 0; c < attention.n_cells; ++c) {
    for (size_t i = 0; i < attention.key_size; ++i) {
      const float query =
          attention.queries[Offset(attention.query_strides, row.token, row.head, row.stream) + i];
      const uint16_t key =
          attention.keys[Offset(attention.key_strides, c, kv_head, row.stream) + i];
      scores[c] += static_cast<double>(query) * FloatOf(key) * attention.scale;
    }
    if (attention.mask != nullptr) {
      scores[c] +=
          FloatOf(attention.mask[Offset(attention.mask_strides, row.token, 0, row.stream) + c]);
    }
    maximum = std::max(maximum, scores[c]);
  }
  double weight = attention.sinks == nullptr ? 0 : std::exp(attention.sinks[row.head] - maximum);
  std::vector<double> outputs(attention.value_size);
  for (size_t c = 0; c < attention.n_cells && maximum > -kInfinity; ++c) {
    const double each = std::exp(scores[c] - maximum);
    weight += each;
    const uint16_t* value =
        attention.values + Offset(attention.value_strides, c, kv_head, row.stream);
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i] += each * FloatOf(value[i]);
  }
  for (double& each : outputs) each = weight == 0 ? 0 : each / weight;
  return outputs;
}

// An attention, and all that it refers to. The memory ends where it does, for the sanitizer.
struct Case {
  std::vector<float> queries;
  std::vector<uint16_t> keys;
  std::vector<uint16_t> values;
  std::vector<uint16_t> mask;
  std::vector<float> sinks;
  std::vector<float> outputs;
  Attention attention;
};

struct Shape {
  size_t n_streams = 1;
  size_t n_tokens;
  size_t n_cells;
  size_t n_heads;
  size_t n_kv_heads;
  size_t key_size;
  size_t value_size;
  bool has_mask = true;
  bool has_sinks = false;
};

// As a causal mask: with a hole, cells that nobody sees, and one token that sees nothing.
bool IsHidden(const Shape& shape, size_t stream, size_t token, size_t cell) {
  const size_t last = shape.n_cells - shape.n_tokens + token - 20 * stream;
  return cell > last || (cell + stream) % 7 == 3 || (cell >= 64 && cell < 128 && token % 2 == 0) ||
         token == 5;
}

Case RandomCase(const Shape& shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 2);
  const auto half = [&] {
    // Finite ones of either sign, up to 8.
    return static_cast<uint16_t>((random() & 0x83ff) | (random() % 19) << 10);
  };
  Case made;
  const auto [n_streams, n_tokens, n_cells, n_heads, n_kv_heads, key_size, value_size, has_mask,
              has_sinks] = shape;
  made.queries.resize(n_streams * n_tokens * n_heads * key_size);
  for (float& each : made.queries) each = normal(random);
  made.keys.resize(n_streams * n_cells * n_kv_heads * key_size);
  for (uint16_t& each : made.keys) each = half();
  made.values.resize(n_streams * n_cells * n_kv_heads * value_size);
  for (uint16_t& each : made.values) each = half();
  if (has_mask) {
    for (size_t s = 0; s < n_streams; ++s) {
      for (size_t t = 0; t < n_tokens; ++t) {
        for (size_t c = 0; c < n_cells; ++c) {
          made.mask.push_back(IsHidden(shape, s, t, c) ? kHidden : 0);
        }
      }
    }
  }
  if (has_sinks) {
    for (size_t h = 0; h < n_heads; ++h) made.sinks.push_back(normal(random));
  }
  made.outputs.assign(n_streams * n_tokens * n_heads * value_size, -1.0f);
  made.attention = {
      .n_streams = n_streams,
      .n_tokens = n_tokens,
      .n_cells = n_cells,
      .n_heads = n_heads,
      .n_kv_heads = n_kv_heads,
      .key_size = key_size,
      .value_size = value_size,
      .scale = 0.25f,
      .queries = made.queries.data(),
      .query_strides = {key_size, n_tokens * key_size, n_tokens * n_heads * key_size},
      .keys = made.keys.data(),
      .key_strides = {n_kv_heads * key_size, key_size, n_cells * n_kv_heads * key_size},
      .values = made.values.data(),
      .value_strides = {n_kv_heads * value_size, value_size, n_cells * n_kv_heads * value_size},
      .mask = has_mask ? made.mask.data() : nullptr,
      .mask_strides = {n_cells, 0, n_tokens * n_cells},
      .sinks = has_sinks ? made.sinks.data() : nullptr,
      .outputs = made.outputs.data(),
      .work = nullptr,
  };
  return made;
}

template <typename Body>
void ForEachRow(const Attention& attention, Body body) {
  const float* output = attention.outputs;
  for (size_t s = 0; s < attention.n_streams; ++s) {
    for (size_t t = 0; t < attention.n_tokens; ++t) {
      for (size_t h = 0; h < attention.n_heads; ++h, output += attention.value_size) {
        body(RowAt{s, t, h}, std::span(output, attention.value_size));
      }
    }
  }
}

void CheckOutputs(const Attention& attention) {
  size_t n_wrong = 0;
  ForEachRow(attention, [&](RowAt row, std::span<const float> outputs) {
    const std::vector<float> expected = Expected(attention, row);
    n_wrong += !std::equal(outputs.begin(), outputs.end(), expected.begin());
  });
  CHECK(n_wrong == 0);
}

// Every kernel this processor has.
template <typename Body>
void ForEachKernel(Body body) {
  for (const AttentionKernel* kernel : AttentionKernels()) {
    if (kernel == nullptr) return;
    CAPTURE(NameOf(*kernel));
    body(*kernel);
  }
}

// As many threads as ggml might say that there are; one does all the work.
void Compute(const AttentionKernel& kernel, Attention attention, size_t n_threads) {
  std::vector<std::byte> work(AttentionWorkBytes(attention, n_threads));
  attention.work = work.data();
  for (size_t piece = 0; piece < NumPieces(attention, n_threads); ++piece) {
    AttendPiece(kernel, attention, n_threads, piece % n_threads, piece);
  }
  if (!HavePartialRows(attention, n_threads)) return;
  for (size_t part = 0; part < n_threads; ++part) {
    MergeRows(kernel, attention, n_threads, part, n_threads);
  }
}

const std::vector<Shape> kShapes = {
    // One token, as when a reply is decoded; heads in groups of 3, 4, 1 and 7.
    {.n_tokens = 1,
     .n_cells = 256,
     .n_heads = 9,
     .n_kv_heads = 3,
     .key_size = 64,
     .value_size = 64},
    {.n_tokens = 1,
     .n_cells = 704,
     .n_heads = 8,
     .n_kv_heads = 2,
     .key_size = 128,
     .value_size = 128},
    {.n_tokens = 1, .n_cells = 64, .n_heads = 2, .n_kv_heads = 2, .key_size = 80, .value_size = 80},
    {.n_tokens = 1,
     .n_cells = 320,
     .n_heads = 7,
     .n_kv_heads = 1,
     .key_size = 16,
     .value_size = 48},
    // Several streams, and tokens of a prompt.
    {.n_streams = 3,
     .n_tokens = 1,
     .n_cells = 512,
     .n_heads = 4,
     .n_kv_heads = 2,
     .key_size = 32,
     .value_size = 32},
    {.n_streams = 2,
     .n_tokens = 9,
     .n_cells = 256,
     .n_heads = 6,
     .n_kv_heads = 2,
     .key_size = 32,
     .value_size = 16},
    {.n_tokens = 50,
     .n_cells = 384,
     .n_heads = 6,
     .n_kv_heads = 2,
     .key_size = 32,
     .value_size = 112},
    {.n_tokens = 7,
     .n_cells = 320,
     .n_heads = 4,
     .n_kv_heads = 4,
     .key_size = 32,
     .value_size = 32,
     .has_mask = false},
    {.n_tokens = 6,
     .n_cells = 320,
     .n_heads = 4,
     .n_kv_heads = 2,
     .key_size = 32,
     .value_size = 32,
     .has_sinks = true},
};

}  // namespace

TEST_CASE("attention is what its definition says, to the last bit, on any number of threads") {
  ForEachKernel([](const AttentionKernel& kernel) {
    uint32_t seed = 0;
    for (const Shape& shape : kShapes) {
      for (const size_t n_threads : {1, 2, 40}) {
        CAPTURE(seed);
        Case made = RandomCase(shape, ++seed);
        Compute(kernel, made.attention, n_threads);
        CheckOutputs(made.attention);
      }
    }
  });
}

TEST_CASE("attention is exact but for rounding") {
  ForEachKernel([](const AttentionKernel& kernel) {
    for (const Shape& shape : kShapes) {
      Case made = RandomCase(shape, 77);
      Compute(kernel, made.attention, 2);
      double largest = 0;
      ForEachRow(made.attention, [&](RowAt row, std::span<const float> outputs) {
        const std::vector<double> exact = Exact(made.attention, row);
        for (size_t i = 0; i < outputs.size(); ++i) {
          largest = std::max(largest, std::abs(outputs[i] - exact[i]));
        }
      });
      // Values reach 8, and scores some hundred.
      CHECK(largest < 2e-4);
    }
  });
}

TEST_CASE(
    "attention of a token does not depend on the tokens beside it, nor on hidden cells behind") {
  ForEachKernel([](const AttentionKernel& kernel) {
    const Shape shape = {.n_tokens = 40,
                         .n_cells = 512,
                         .n_heads = 6,
                         .n_kv_heads = 2,
                         .key_size = 64,
                         .value_size = 64};
    Case made = RandomCase(shape, 3);
    Compute(kernel, made.attention, 1);
    for (const size_t token : {0, 17, 39}) {
      for (const size_t n_cells : {512, 576}) {
        Shape alone_shape = shape;
        alone_shape.n_tokens = 1;
        alone_shape.n_cells = n_cells;
        Case alone = RandomCase(alone_shape, 3);
        Attention& attention = alone.attention;
        attention.queries = made.queries.data() + token * shape.key_size;
        attention.query_strides = made.attention.query_strides;
        std::copy(made.keys.begin(), made.keys.end(), alone.keys.begin());
        std::copy(made.values.begin(), made.values.end(), alone.values.begin());
        std::fill(alone.mask.begin(), alone.mask.end(), kHidden);
        std::copy_n(made.mask.begin() + static_cast<ptrdiff_t>(token * shape.n_cells),
                    shape.n_cells, alone.mask.begin());
        Compute(kernel, attention, 3);
        const size_t n_outputs = shape.n_heads * shape.value_size;
        CHECK(std::equal(alone.outputs.begin(), alone.outputs.end(),
                         made.outputs.begin() + static_cast<ptrdiff_t>(token * n_outputs)));
      }
    }
  });
}

TEST_CASE("threads share an attention") {
  constexpr size_t kThreads = 3;
  ForEachKernel([](const AttentionKernel& kernel) {
    for (const Shape& shape : kShapes) {
      Case made = RandomCase(shape, 9);
      Attention& attention = made.attention;
      std::vector<std::byte> work(AttentionWorkBytes(attention, kThreads));
      attention.work = work.data();
      std::barrier attended(kThreads);
      std::vector<std::thread> threads;
      for (size_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
          for (size_t piece = t; piece < NumPieces(attention, kThreads); piece += kThreads) {
            AttendPiece(kernel, attention, kThreads, t, piece);
          }
          attended.arrive_and_wait();
          if (!HavePartialRows(attention, kThreads)) return;
          MergeRows(kernel, attention, kThreads, t, kThreads);
        });
      }
      for (std::thread& thread : threads) thread.join();
      CheckOutputs(attention);
    }
  });
}
