#include "llama/token_batch.h"

#include <algorithm>
#include <cstddef>

void TokenBatch::Clear() {
  tokens_.clear();
  positions_.clear();
  ids_.clear();
  wants_output_.clear();
}

int32_t TokenBatch::Add(llama_seq_id sequence, int32_t first, std::span<const llama_token> tokens,
                        int32_t n_outputs) {
  const int32_t end = size() + static_cast<int32_t>(tokens.size());
  const int32_t first_output = end - n_outputs;
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens_.push_back(tokens[i]);
    positions_.push_back(first + static_cast<llama_pos>(i));
    ids_.push_back(sequence);
    wants_output_.push_back(size() > first_output ? 1 : 0);
  }
  return std::min(first_output, end - 1);
}

DecodeStatus TokenBatch::DecodeIn(llama_context* context) {
  sequence_counts_.assign(tokens_.size(), 1);
  id_pointers_.resize(tokens_.size());
  for (size_t i = 0; i < ids_.size(); ++i) id_pointers_[i] = &ids_[i];
  const llama_batch batch{
      .n_tokens = size(),
      .token = tokens_.data(),
      .embd = nullptr,
      .pos = positions_.data(),
      .n_seq_id = sequence_counts_.data(),
      .seq_id = id_pointers_.data(),
      .logits = wants_output_.data(),
  };
  const int32_t result = llama_decode(context, batch);
  llama_synchronize(context);
  switch (result) {
    case 0:
      return DecodeStatus::kOk;
    case 1:
      return DecodeStatus::kNoRoom;
    case 2:
      return DecodeStatus::kAborted;
    default:
      return DecodeStatus::kFailed;
  }
}
