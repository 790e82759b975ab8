// Which tokens every sequence id of the KV cache holds, which cells the ids share, and which
// prefixes of ended sequences stay cached for later prompts. Books only: no tensor, no llama.cpp,
// no thread. Every decision is also recorded as an edit, which the owner of the memory applies in
// order.
//
// An id is free, open (a running sequence computes in it) or cached (it holds the prefix that an
// ended or preempted sequence left).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "schedule/common_prefix.h"
#include "schedule/kv_cache_edit.h"
#include "schedule/stored_prefixes.h"

struct CacheLimits {
  // Number of ids, at least the number of sequences that run at once.
  int32_t n_ids = 1;
  // Cells of all ids together.
  int32_t n_cells = 0;
  // Cells that cached prefixes may hold beside those of open ids. Every step visits them, if only
  // to skip them.
  int32_t max_cached_cells = std::numeric_limits<int32_t>::max();
  // Whether a copy shares the cells of its source (unified KV cache) or has its own (split).
  bool shares_cells = true;
  // Whether a sequence can be cut at any token. Otherwise a prefix can be used only as a whole: a
  // recurrent state is the state after its last token and no other.
  bool cuts = true;
  // Whether one id can be copied to another at all.
  bool copies = true;
  // Tokens from which a copy is worth its price.
  int32_t min_copy_tokens = 1;
  // Tokens of prefixes that may be stored in the host's memory when they leave the cache; 0 where
  // that cannot be done.
  int32_t max_stored_tokens = 0;
  // For a move to an id with a cached prefix while no id is free: tokens that two ids may hold to
  // change places, and whether the least valuable prefix may be dropped instead.
  int32_t max_swap_tokens = 0;
  bool drops_to_move = false;
  // Where `cuts` depends on the id and the length, because old cells may be gone (sliding window).
  std::function<bool(CacheId, int32_t)> can_cut = nullptr;
};

// `id` holds the first `n_tokens` of a prompt, or a stored prefix does. No match when neither is
// there.
struct PrefixMatch {
  CacheId id = -1;
  int32_t n_tokens = 0;
  StoredId stored_id = 0;
};

class PrefixCache {
 public:
  explicit PrefixCache(CacheLimits limits);

  // The longest prefix of `prompt` that an id of the same scope holds and can share. Never the last
  // token, which has to be computed for its logits. A scan over all ids: at most 256,
  // compared in blocks, takes microseconds.
  PrefixMatch Find(std::span<const Token> prompt, const std::string& scope) const;

  // Takes an id for a sequence of `n_prompt` prompt tokens and gives it the matched prefix.
  // Requires fewer than n_ids open ones. May take over the matched id, or the id of the least
  // valuable cached prefix.
  CacheId Open(const std::string& scope, int32_t n_prompt, PrefixMatch match);

  // Two open ids that hold nothing change places.
  void Swap(CacheId a, CacheId b);

  // Whether the limits allow moving the tokens of an open or cached id.
  bool MayMove(CacheId id) const;

  // Moves an open id and its tokens to another id, which is not open. A cached prefix there goes to
  // a free id, or to where the open one was. Both must be allowed to move. For caches whose ids
  // share no cells.
  void Rename(CacheId id, CacheId to);

  // Replaces the tokens of an open id by a longer prefix.
  void Adopt(CacheId id, PrefixMatch match);

  // `tokens` were computed behind the tokens of the id.
  void Extend(CacheId id, std::span<const Token> tokens);

  // An open id loses its tokens from `n_tokens` on.
  void Cut(CacheId id, int32_t n_tokens);

  // The sequence of an open id no longer runs: its tokens become a cached prefix, unless another id
  // holds the same. Shorter cached prefixes of it are dropped, since it serves as well.
  // `resumes` marks a prefix that will be needed again.
  void Keep(CacheId id, bool resumes = false);

  // Caches a copy of an open id as it is now. For memories that cannot be cut. Does nothing when no
  // id is available.
  void Checkpoint(CacheId id);

  // Frees an id and its cells.
  void Clear(CacheId id);

  // The memory has lost the tokens of the id, so there is nothing left to clear. A cached id
  // becomes free.
  void Lost(CacheId id);

  // The memory could not store a prefix, or could not restore it.
  void LostStored(StoredId id);

  // From now on whole prefixes only.
  void ForbidCuts() { limits_.cuts = false; }

  // Evicts the least valuable cached prefix that has cells of its own: it is stored in the host's
  // memory if the limits allow that. Prefixes of conversations
  // that were continued before are more valuable: single calls cannot evict them, as long as they
  // take no more than three quarters of the cells for cached prefixes. Among equals the most
  // recently used one stays. False when there is none.
  bool EvictOne();

  // The edits since the last call, in the order they must be made.
  std::vector<CacheEdit> TakeEdits();

  const CacheLimits& limits() const { return limits_; }
  int32_t n_cached(CacheId id) const { return static_cast<int32_t>(entries_[id].tokens.size()); }
  std::span<const Token> cached(CacheId id) const { return entries_[id].tokens; }
  // Cells in use, each counted once.
  int32_t n_used() const { return n_used_; }
  // Cells of open ids.
  int32_t n_open_cells() const;
  // How many cells of a match open ids use already.
  int32_t n_open_cells(PrefixMatch match) const;
  int32_t n_prefixes() const { return Count(State::kCached); }
  const StoredPrefixes& stored() const { return stored_; }
  // Stored prefixes that came back since the start.
  uint64_t n_restored() const { return n_restored_; }
  int32_t n_open() const { return Count(State::kOpen); }
  // Whether an open id holds exactly these tokens.
  bool Holds(CacheId id, std::span<const Token> tokens) const;

  // What an id is used for.
  enum class State : uint8_t { kFree, kOpen, kCached };
  State state(CacheId id) const { return entries_[id].state; }

  // Throws std::logic_error when the books do not balance.
  void CheckIntegrity() const;

 private:
  struct Entry {
    State state = State::kFree;
    std::vector<Token> tokens;
    std::string scope;
    int32_t n_prompt = 0;
    // How often its conversation was continued.
    int32_t n_turns = 0;
    // Whole prefixes taken from it.
    int32_t n_uses = 0;
    uint64_t last_used = 0;

    // Tokens another prompt must share to be called a continuation: all but the last of the prompt,
    // which an identical prompt computes again.
    int32_t n_continued() const;
  };

  // Cells that two ids share. Only prefixes are ever copied, so sharing one cell means sharing all
  // before it, and a length says which.
  int32_t& Shared(CacheId a, CacheId b) { return shared_[a * limits_.n_ids + b]; }
  int32_t Shared(CacheId a, CacheId b) const { return shared_[a * limits_.n_ids + b]; }
  // The most that `id` shares with any other id, or with any open one.
  int32_t MaxShared(CacheId id, bool open_only) const;

  int32_t Count(State state) const;
  // The lowest free id, -1 for none.
  CacheId LowestFree() const;
  // Whether the first `n_tokens` of an id can be given to another.
  bool Serves(CacheId id, int32_t n_tokens) const;
  bool StartsWith(const Entry& entry, const Entry& prefix) const;
  // A free id, or else the one of the least valuable cached prefix, which is evicted unless it is
  // `spared`. -1 when all are open.
  CacheId FreeId(CacheId spared);
  // The least valuable cached id that `allowed` accepts, or -1.
  CacheId LeastValuable(const std::function<bool(CacheId)>& allowed) const;
  void Copy(CacheId id, PrefixMatch match);
  bool MakeRoomToRestore(PrefixMatch match);
  int32_t Restore(CacheId id, PrefixMatch match);
  void Evict(CacheId id);
  void Store(CacheId id);
  void Discard(StoredId id);
  // To a free id.
  void Move(CacheId id, CacheId to);
  // Takes cells off the books, from token `n_tokens` on.
  void Release(CacheId id, int32_t n_tokens);
  void DropSuperseded(CacheId id);
  void DropExcess();

  CacheLimits limits_;
  std::vector<Entry> entries_;
  std::vector<int32_t> shared_;
  StoredPrefixes stored_;
  uint64_t n_restored_ = 0;
  std::vector<CacheEdit> edits_;
  int32_t n_used_ = 0;
  uint64_t clock_ = 0;
};
