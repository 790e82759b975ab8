// The reference that the engine is measured against: only llama_decode, on the libraries that
// node-llama-cpp ships. All prompts are prefilled together; then every sequence decodes one token
// per step, chosen by argmax. The end of generation is ignored. One thread pool serves all rounds.
//
//   raw-loop MODEL BACKEND_DIR THREADS CONTEXT_PER_SEQUENCE GPU
//
// GPU is `off`, or any other word to offload all layers to the devices that the backends find.
//
// Reads rounds from stdin and answers each with one line of JSON on stdout. A round is a line
// "SEQUENCES COMPLETION_TOKENS", then one line of token ids, separated by spaces, per sequence.
// Between rounds the process sleeps in a read, after the short polling of the pool has ended.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "llama-cpp.h"

namespace {

constexpr uint32_t kBatchTokens = 2048;
constexpr uint32_t kUbatchTokens = 512;

using Tokens = std::vector<llama_token>;

struct Round {
  int n_completion_tokens = 0;
  std::vector<Tokens> prompts;
};

struct Timings {
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

[[noreturn]] void Fail(const std::string& message) { throw std::runtime_error(message); }

// Compute threads that outlive a batch. Their functions are part of the CPU backend, which is
// loaded at run time and cannot be linked.
class ThreadPool {
 public:
  explicit ThreadPool(int n_threads)
      : free_(Find<decltype(&ggml_threadpool_free)>("ggml_threadpool_free")) {
    ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
    pool_ = Find<decltype(&ggml_threadpool_new)>("ggml_threadpool_new")(&params);
    if (pool_ == nullptr) Fail("the thread pool could not be created");
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() { free_(pool_); }

  ggml_threadpool_t get() const { return pool_; }

 private:
  template <typename Function>
  static Function Find(const char* name) {
    ggml_backend_reg_t cpu = ggml_backend_reg_by_name("CPU");
    void* address = cpu == nullptr ? nullptr : ggml_backend_reg_get_proc_address(cpu, name);
    if (address == nullptr) Fail(std::string("the CPU backend has no ") + name);
    return reinterpret_cast<Function>(address);
  }

  decltype(&ggml_threadpool_free) free_;
  ggml_threadpool_t pool_ = nullptr;
};

// Tokens for one llama_decode.
class Batch {
 public:
  explicit Batch(size_t capacity) : batch_(llama_batch_init(static_cast<int>(capacity), 0, 1)) {}
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch() { llama_batch_free(batch_); }

  void Clear() { batch_.n_tokens = 0; }

  // Returns the index of the token's logits for llama_get_logits_ith, valid if wants_logits is
  // true.
  int Add(llama_token token, llama_pos position, llama_seq_id sequence, bool wants_logits) {
    const int index = batch_.n_tokens++;
    batch_.token[index] = token;
    batch_.pos[index] = position;
    batch_.n_seq_id[index] = 1;
    batch_.seq_id[index][0] = sequence;
    batch_.logits[index] = wants_logits;
    return index;
  }

  const llama_batch& get() const { return batch_; }

 private:
  llama_batch batch_;
};

// The index of the maximum of n values. Comparing whole lanes lets the compiler emit vector code.
int Argmax(const float* values, int n) {
  constexpr int kLanes = 16;
  std::array<float, kLanes> maxima;
  maxima.fill(values[0]);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      maxima[lane] = values[i + lane] > maxima[lane] ? values[i + lane] : maxima[lane];
    }
  }
  float best = *std::max_element(maxima.begin(), maxima.end());
  for (; i < n; ++i) best = std::max(best, values[i]);
  return static_cast<int>(std::find(values, values + n, best) - values);
}

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class RawLoop {
 public:
  RawLoop(const char* model_path, int n_threads, uint32_t n_ctx_per_sequence, bool offloads)
      : n_threads_(n_threads), n_ctx_per_sequence_(n_ctx_per_sequence), pool_(n_threads) {
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = offloads ? -1 : 0;
    model_.reset(llama_model_load_from_file(model_path, params));
    if (!model_) Fail(std::string("cannot load ") + model_path);
    n_vocab_ = llama_vocab_n_tokens(llama_model_get_vocab(model_.get()));
  }

  Timings Run(const Round& round) {
    Prepare(round);
    const size_t n_sequences = round.prompts.size();
    Batch batch(std::max<size_t>(n_sequences, PromptTokens(round)));
    std::vector<int> logits_index(n_sequences);
    std::vector<llama_token> next(n_sequences);

    auto start = std::chrono::steady_clock::now();
    for (size_t s = 0; s < n_sequences; ++s) {
      const Tokens& prompt = round.prompts[s];
      for (size_t i = 0; i < prompt.size(); ++i) {
        logits_index[s] = batch.Add(prompt[i], static_cast<llama_pos>(i),
                                    static_cast<llama_seq_id>(s), i + 1 == prompt.size());
      }
    }
    Decode(batch, logits_index, &next);
    const double prefill_seconds = SecondsSince(start);

    start = std::chrono::steady_clock::now();
    for (int step = 1; step < round.n_completion_tokens; ++step) {
      batch.Clear();
      for (size_t s = 0; s < n_sequences; ++s) {
        const auto position = static_cast<llama_pos>(round.prompts[s].size()) + step - 1;
        logits_index[s] = batch.Add(next[s], position, static_cast<llama_seq_id>(s), true);
      }
      Decode(batch, logits_index, &next);
    }
    return {prefill_seconds, SecondsSince(start)};
  }

  static size_t PromptTokens(const Round& round) {
    size_t n_tokens = 0;
    for (const Tokens& prompt : round.prompts) n_tokens += prompt.size();
    return n_tokens;
  }

 private:
  // Clears the cache, and creates a context of exactly the round's size unless the current one has
  // it.
  void Prepare(const Round& round) {
    const auto n_sequences = static_cast<uint32_t>(round.prompts.size());
    for (const Tokens& prompt : round.prompts) {
      if (prompt.size() + round.n_completion_tokens > n_ctx_per_sequence_) {
        Fail("prompt and completion do not fit the context");
      }
    }
    const auto n_batch = std::max(kBatchTokens, static_cast<uint32_t>(PromptTokens(round)));
    if (!context_ || llama_n_seq_max(context_.get()) != n_sequences ||
        llama_n_batch(context_.get()) < n_batch) {
      context_.reset();
      llama_context_params params = llama_context_default_params();
      params.n_ctx = n_ctx_per_sequence_ * n_sequences;
      params.n_batch = n_batch;
      params.n_ubatch = kUbatchTokens;
      params.n_seq_max = n_sequences;
      params.n_threads = n_threads_;
      params.n_threads_batch = n_threads_;
      params.kv_unified = false;
      params.no_perf = true;
      context_.reset(llama_init_from_model(model_.get(), params));
      if (!context_) Fail("cannot create the context");
      llama_attach_threadpool(context_.get(), pool_.get(), pool_.get());
    }
    llama_memory_clear(llama_get_memory(context_.get()), false);
  }

  void Decode(const Batch& batch, const std::vector<int>& logits_index,
              std::vector<llama_token>* next) {
    const int status = llama_decode(context_.get(), batch.get());
    if (status != 0) Fail("llama_decode answered " + std::to_string(status));
    for (size_t s = 0; s < logits_index.size(); ++s) {
      (*next)[s] = Argmax(llama_get_logits_ith(context_.get(), logits_index[s]), n_vocab_);
    }
  }

  int n_threads_;
  uint32_t n_ctx_per_sequence_;
  int n_vocab_ = 0;
  ThreadPool pool_;
  llama_model_ptr model_;
  llama_context_ptr context_;
};

std::optional<Round> ReadRound(std::istream& in) {
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  size_t n_sequences = 0;
  Round round;
  std::istringstream head(line);
  if (!(head >> n_sequences >> round.n_completion_tokens) || n_sequences == 0 ||
      n_sequences > llama_max_parallel_sequences() || round.n_completion_tokens < 1) {
    Fail("expected SEQUENCES COMPLETION_TOKENS, got: " + line);
  }
  while (round.prompts.size() < n_sequences) {
    if (!std::getline(in, line)) Fail("a prompt is missing");
    std::istringstream ids(line);
    Tokens prompt;
    for (llama_token id; ids >> id;) prompt.push_back(id);
    if (prompt.empty()) Fail("an empty prompt");
    round.prompts.push_back(std::move(prompt));
  }
  return round;
}

void LogWarnings(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN) std::fputs(text, stderr);
}

int Main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: raw-loop MODEL BACKEND_DIR THREADS CONTEXT_PER_SEQUENCE GPU\n";
    return 2;
  }
  llama_log_set(LogWarnings, nullptr);
  ggml_backend_load_all_from_path(argv[2]);
  const bool offloads = std::string_view(argv[5]) != "off";
  RawLoop loop(argv[1], std::stoi(argv[3]), static_cast<uint32_t>(std::stoul(argv[4])), offloads);
  std::cout << "{\"ready\":true}" << std::endl;
  while (const std::optional<Round> round = ReadRound(std::cin)) {
    const Timings timings = loop.Run(*round);
    std::cout << "{\"prefillSeconds\":" << timings.prefill_seconds
              << ",\"decodeSeconds\":" << timings.decode_seconds
              << ",\"promptTokenCount\":" << RawLoop::PromptTokens(*round)
              << ",\"completionTokenCount\":"
              << round->prompts.size() * static_cast<size_t>(round->n_completion_tokens) << "}"
              << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "raw-loop: " << error.what() << "\n";
    return 1;
  }
}
