// Which tokens every sequence id of the KV cache holds, which cells they share, and what finished
// sequences leave behind for prompts that start like them. Books only: no tensor, no llama.cpp, no
// thread. What it decides it also writes down as edits, which the owner of the memory carries out
// in order.
//
// An id is free, open (a running sequence computes in it) or kept (what a finished sequence left).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

using Token = int32_t;
// A llama_seq_id.
using CacheId = int32_t;

struct CacheLimits {
  // Ids there are, at least as many as sequences run at once.
  int32_t n_ids = 1;
  // Cells of all ids together.
  int32_t n_cells = 0;
  // Cells that kept prefixes may hold beside those of open ids. Every step looks at them, if only
  // to skip them.
  int32_t max_cached_cells = std::numeric_limits<int32_t>::max();
  // Whether a copy shares the cells of its source (unified KV cache) or has its own (split).
  bool shares_cells = true;
  // Whether a sequence can be cut at any token. Without, only the whole of what an id holds is of
  // use: a recurrent state is the state after its last token and no other.
  bool cuts = true;
  // Whether one id can be copied to another at all.
  bool copies = true;
  // Tokens from which a copy is worth its price.
  int32_t min_copy_tokens = 1;
  // To move what an id holds to one where a prefix is kept, while none is free: tokens that two ids
  // may hold to change places, and whether the prefix worth least may be dropped for it instead.
  int32_t max_swap_tokens = 0;
  bool drops_to_move = false;
  // Where `cuts` depends on the id and the length, because old cells may be gone (sliding window).
  std::function<bool(CacheId, int32_t)> can_cut = nullptr;
};

// One change of the memory.
struct CacheEdit {
  enum class Kind {
    // `id`, which is empty, gets the first `n_tokens` of `source`.
    kCopy,
    // `id` loses everything from token `n_tokens` on.
    kCut,
    // `id` loses everything.
    kClear,
    // `id` and `source`, of which neither is empty, change what they hold.
    kSwap,
  };
  Kind kind = Kind::kClear;
  CacheId id = 0;
  CacheId source = -1;
  int32_t n_tokens = 0;
};

// The first `n_tokens` of a prompt are those that `id` holds; none when `id` is -1.
struct PrefixMatch {
  CacheId id = -1;
  int32_t n_tokens = 0;
};

// Length of the longest common prefix.
int32_t CommonPrefix(std::span<const Token> a, std::span<const Token> b);

class PrefixCache {
 public:
  explicit PrefixCache(CacheLimits limits);

  // The longest prefix of `prompt` that some id of the same scope holds and can share. At most all
  // tokens but the last, which has to be computed for its logits. A scan over all ids: at most 256,
  // compared in blocks, takes microseconds.
  PrefixMatch Find(std::span<const Token> prompt, const std::string& scope) const;

  // Takes an id for a sequence of `n_prompt` prompt tokens and gives it the matched prefix.
  // Requires fewer than n_ids open ones. May take over the matched id, or take the id of the kept
  // prefix that is worth least.
  CacheId Open(const std::string& scope, int32_t n_prompt, PrefixMatch match);

  // Two open ids that hold nothing change places.
  void Swap(CacheId a, CacheId b);

  // Whether what an open or kept id holds can be moved, by what the limits say.
  bool MayMove(CacheId id) const;

  // An open id becomes another one, which is not open, and takes along what it holds; a prefix that
  // is kept there goes to a free id, or to where the open one was. Both may move. For caches whose
  // ids share no cells.
  void Rename(CacheId id, CacheId to);

  // Replaces what an open id holds with a longer prefix.
  void Adopt(CacheId id, PrefixMatch match);

  // `tokens` were computed behind what the id holds.
  void Extend(CacheId id, std::span<const Token> tokens);

  // An open id loses what it holds from token `n_tokens` on.
  void Cut(CacheId id, int32_t n_tokens);

  // The sequence of an open id does not run any more: what it computed is kept, unless another id
  // holds the same. Shorter prefixes of it are dropped, since it serves as well as they did.
  // `resumes` marks one that will be asked for again.
  void Keep(CacheId id, bool resumes = false);

  // Keeps a copy of an open id as it is now. For memories that cannot be cut; does nothing when no
  // id can be had.
  void Checkpoint(CacheId id);

  // Frees an id and its cells.
  void Clear(CacheId id);

  // The memory has lost what the id holds; there is nothing left to clear. A kept id becomes free.
  void Lost(CacheId id);

  // From now on whole prefixes only.
  void ForbidCuts() { limits_.cuts = false; }

  // Clears the kept prefix that is worth least of those that hold cells for themselves. Worth more
  // are conversations, which were continued before: short calls that nobody continues cannot push
  // them out, as long as they take no more than three quarters of what may be kept. Among equals
  // the one used last stays. False when there is none.
  bool EvictOne();

  // The edits since the last call, in the order they must be made.
  std::vector<CacheEdit> TakeEdits();

  const CacheLimits& limits() const { return limits_; }
  int32_t n_cached(CacheId id) const { return static_cast<int32_t>(entries_[id].tokens.size()); }
  std::span<const Token> cached(CacheId id) const { return entries_[id].tokens; }
  // Cells in use, each counted once.
  int32_t n_used() const { return n_used_; }
  // Those of open ids.
  int32_t n_open_cells() const;
  // How many cells of a match are those of open ids already.
  int32_t n_open_cells(PrefixMatch match) const;
  int32_t n_prefixes() const { return Count(State::kCached); }
  int32_t n_open() const { return Count(State::kOpen); }
  // Whether an open id holds exactly these tokens.
  bool Holds(CacheId id, std::span<const Token> tokens) const;

  // What an id is in use for.
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
  // A free id, if need be that of the kept prefix worth least, which is dropped unless it is
  // `spared`. -1 when all are open.
  CacheId FreeId(CacheId spared);
  // The kept id worth least among those `allowed` allows, or -1.
  CacheId LeastValuable(const std::function<bool(CacheId)>& allowed) const;
  void Copy(CacheId id, PrefixMatch match);
  // To a free id.
  void Move(CacheId id, CacheId to);
  // Takes cells off the books, from token `n_tokens` on.
  void Release(CacheId id, int32_t n_tokens);
  void DropSuperseded(CacheId id);
  void DropExcess();

  CacheLimits limits_;
  std::vector<Entry> entries_;
  std::vector<int32_t> shared_;
  std::vector<CacheEdit> edits_;
  int32_t n_used_ = 0;
  uint64_t clock_ = 0;
};
