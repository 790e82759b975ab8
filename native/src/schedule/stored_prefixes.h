// Prefixes that had to leave the KV cache and are kept in the host's memory, within a bound. Books
// only, like those of PrefixCache, which decides what is stored and records the edits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

using Token = int32_t;
// Counted from 1; never used twice.
using StoredId = int64_t;

struct StoredPrefix {
  StoredId id = 0;
  std::vector<Token> tokens = {};
  std::string scope = {};
  int32_t n_prompt = 0;
  // How often its conversation was continued.
  int32_t n_turns = 0;
};

// The first `n_tokens` of a prompt are stored. No match when `id` is 0.
struct StoredMatch {
  StoredId id = 0;
  int32_t n_tokens = 0;
};

class StoredPrefixes {
 public:
  // `max_tokens` of all prefixes together; 0 stores nothing.
  explicit StoredPrefixes(int32_t max_tokens) : max_tokens_(max_tokens) {}

  // The longest prefix of `prompt` that is stored within a scope, of at least a few tokens.
  StoredMatch Find(std::span<const Token> prompt, const std::string& scope) const;

  // True if a prefix of so many tokens is worth storing and there can be room for it.
  bool Accepts(int32_t n_tokens) const;

  // Stores an accepted prefix under a new id. Returns the ids that had to go for it: prefixes that
  // it continues, then others. Those of conversations that were never continued go first, among
  // equals the one that was used least recently.
  std::vector<StoredId> Add(StoredPrefix prefix);

  // The prefix of an id; nullptr if there is none any more.
  const StoredPrefix* Get(StoredId id) const;
  // The prefix was used and stays.
  void Touch(StoredId id);
  // Does nothing for an unknown id.
  void Remove(StoredId id);

  // The id of the prefix that was added last.
  StoredId last_id() const { return last_id_; }
  int32_t n_tokens() const { return n_tokens_; }
  int32_t n_prefixes() const { return static_cast<int32_t>(prefixes_.size()); }

 private:
  StoredId LeastValuable() const;

  int32_t max_tokens_;
  int32_t n_tokens_ = 0;
  StoredId last_id_ = 0;
  // The most recently used one is last.
  std::vector<StoredPrefix> prefixes_;
};
