// The tokens of one llama_decode, and its only caller. Used on the thread that owns the context.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "llama.h"

enum class DecodeStatus {
  kOk,
  // The memory has no room for this batch; nothing was changed.
  kNoRoom,
  // Stopped by the context's abort callback.
  kAborted,
  // The batch is lost; its sequences must be cleared.
  kFailed,
};

class TokenBatch {
 public:
  void Clear();

  // Appends `tokens` of a sequence, at least one, the first at position `first`. The outputs of the
  // last `n_outputs` are kept, 0 to all. Returns the batch index of the first of these, or of the
  // last token where none is kept.
  int32_t Add(llama_seq_id sequence, int32_t first, std::span<const llama_token> tokens,
              int32_t n_outputs);

  // Returns when everything is computed.
  DecodeStatus DecodeIn(llama_context* context);

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }

 private:
  // Column by column, as in llama_batch.
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<int32_t> sequence_counts_;
  std::vector<llama_seq_id> ids_;
  std::vector<llama_seq_id*> id_pointers_;
  std::vector<int8_t> wants_output_;
};
