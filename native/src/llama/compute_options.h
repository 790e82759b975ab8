// The options that every context of a model has: what computes it, and with which types.
#pragma once

#include <cstdint>
#include <vector>

#include "llama.h"

struct ComputeOptions {
  llama_model* model = nullptr;
  int32_t n_threads = 1;
  // ggml's busy-wait between graphs, 0 (sleep at once) to 100.
  uint32_t poll = 0;
  // Processors the compute threads may run on, below GGML_MAX_N_THREADS; empty: any.
  std::vector<int32_t> processors;
  llama_flash_attn_type flash_attention = LLAMA_FLASH_ATTN_TYPE_AUTO;
  ggml_type cache_type_k = GGML_TYPE_F16;
  ggml_type cache_type_v = GGML_TYPE_F16;

  // Calls visit(name, &field) for each option that a caller of the addon may set.
  template <class Visitor>
  void VisitOptions(const Visitor& visit) {
    visit("model", &model);
    visit("threadCount", &n_threads);
    visit("threadPoll", &poll);
    visit("processors", &processors);
    visit("flashAttention", &flash_attention);
    visit("cacheTypeK", &cache_type_k);
    visit("cacheTypeV", &cache_type_v);
  }
};
