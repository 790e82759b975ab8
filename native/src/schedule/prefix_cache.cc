#include "schedule/prefix_cache.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace {

// Tokens that a stored prefix must have more than the best one in the cache.
constexpr int32_t kMinRestored = 16;

// The part of cells and ids that is protected for continued conversations.
int32_t ProtectedPart(int32_t n) { return n / 4 * 3; }

}  // namespace

PrefixCache::PrefixCache(CacheLimits limits)
    : limits_(std::move(limits)),
      entries_(limits_.n_ids),
      shared_(static_cast<size_t>(limits_.n_ids) * limits_.n_ids, 0),
      stored_(limits_.max_stored_tokens) {}

int32_t PrefixCache::Entry::n_continued() const {
  return std::min(n_prompt - 1, static_cast<int32_t>(tokens.size()));
}

PrefixMatch PrefixCache::Find(std::span<const Token> prompt, const std::string& scope) const {
  PrefixMatch best;
  const auto usable = prompt.first(prompt.size() - 1);
  for (CacheId id = 0; id < limits_.n_ids; ++id) {
    const Entry& entry = entries_[id];
    if (entry.state == State::kFree || entry.scope != scope) continue;
    if (!limits_.copies && entry.state == State::kOpen) continue;
    const int32_t n = CommonPrefix(entry.tokens, usable);
    // Of equal ones a cached id: it may be taken over instead of copied.
    const bool better =
        n > best.n_tokens || (n == best.n_tokens && n > 0 && entry.state == State::kCached &&
                              entries_[best.id].state == State::kOpen);
    if (better && Serves(id, n)) best = {id, n};
  }
  const StoredMatch stored = stored_.Find(usable, scope);
  if (stored.n_tokens >= best.n_tokens + kMinRestored) return {-1, stored.n_tokens, stored.id};
  return best;
}

bool PrefixCache::Serves(CacheId id, int32_t n_tokens) const {
  if (n_tokens == n_cached(id)) return true;
  return limits_.cuts && (!limits_.can_cut || limits_.can_cut(id, n_tokens));
}

CacheId PrefixCache::Open(const std::string& scope, int32_t n_prompt, PrefixMatch match) {
  int32_t n_turns = 0;
  CacheId id = -1;
  bool continues = false;
  if (match.id >= 0) {
    Entry& source = entries_[match.id];
    const bool is_cached = source.state == State::kCached;
    continues = match.n_tokens >= source.n_continued();
    if (continues) n_turns = source.n_turns + (is_cached ? 1 : 0);
    if (is_cached && 2 * match.n_tokens >= n_cached(match.id)) source.last_used = ++clock_;
    if (match.n_tokens == n_cached(match.id)) ++source.n_uses;
    // A copy with cells of its own costs memory and time, and a continued prefix is seldom needed
    // again as it was.
    if (is_cached && (!limits_.copies || (continues && !limits_.shares_cells))) id = match.id;
  }
  // What makes way may be stored, and must not push out what is to be restored.
  stored_.Touch(match.stored_id);
  if (id < 0) id = FreeId(match.id);
  if (id < 0) throw std::logic_error("more sequences are open than there are ids");

  Entry& entry = entries_[id];
  if (MakeRoomToRestore(match)) {
    n_turns = Restore(id, match);
  } else if (id == match.id) {
    if (!continues) Store(id);
    Cut(id, match.n_tokens);
  } else if (match.id >= 0 && match.n_tokens >= limits_.min_copy_tokens) {
    Copy(id, match);
  }
  entry.state = State::kOpen;
  entry.scope = scope;
  entry.n_prompt = n_prompt;
  entry.n_turns = n_turns;
  entry.n_uses = 0;
  return id;
}

void PrefixCache::Swap(CacheId a, CacheId b) { std::swap(entries_[a], entries_[b]); }

bool PrefixCache::MayMove(CacheId id) const {
  if (n_cached(id) == 0 || limits_.drops_to_move || LowestFree() >= 0) return true;
  // A copy before a swap may not have been made when the swap reads it.
  const bool copies = std::ranges::any_of(
      edits_, [](const CacheEdit& edit) { return edit.kind == CacheEdit::Kind::kCopy; });
  return !copies && n_cached(id) <= limits_.max_swap_tokens;
}

void PrefixCache::Rename(CacheId id, CacheId to) {
  const bool makes_way = entries_[to].state == State::kCached;
  if (makes_way && n_cached(id) == 0) {
    const Entry open = std::exchange(entries_[id], {});
    Move(to, id);
    entries_[to] = open;
    return;
  }
  if (makes_way && LowestFree() < 0 && !limits_.drops_to_move) {
    edits_.push_back({CacheEdit::Kind::kSwap, to, id});
    std::swap(entries_[id], entries_[to]);
    return;
  }
  if (makes_way) {
    const CacheId place = FreeId(/*spared=*/to);
    if (place == to) {
      Evict(to);
    } else {
      Move(to, place);
    }
  }
  Move(id, to);
}

void PrefixCache::Move(CacheId id, CacheId to) {
  if (n_cached(id) > 0) {
    edits_.push_back({CacheEdit::Kind::kCopy, to, id, n_cached(id)});
    edits_.push_back({CacheEdit::Kind::kClear, id});
  }
  entries_[to] = std::exchange(entries_[id], {});
}

void PrefixCache::Adopt(CacheId id, PrefixMatch match) {
  if (match.stored_id > 0) {
    if (n_cached(id) > 0) edits_.push_back({CacheEdit::Kind::kClear, id});
    Release(id, 0);
    if (MakeRoomToRestore(match)) Restore(id, match);
    return;
  }
  Entry& source = entries_[match.id];
  if (source.state == State::kCached) source.last_used = ++clock_;
  if (match.n_tokens == n_cached(match.id)) ++source.n_uses;
  if (n_cached(id) > 0) {
    Release(id, 0);
    edits_.push_back({CacheEdit::Kind::kClear, id});
  }
  Copy(id, match);
}

void PrefixCache::Extend(CacheId id, std::span<const Token> tokens) {
  auto& cached = entries_[id].tokens;
  cached.insert(cached.end(), tokens.begin(), tokens.end());
  n_used_ += static_cast<int32_t>(tokens.size());
}

void PrefixCache::Keep(CacheId id, bool resumes) {
  Entry& entry = entries_[id];
  if (entry.tokens.empty()) return Clear(id);
  for (CacheId other = 0; other < limits_.n_ids; ++other) {
    Entry& rival = entries_[other];
    if (other == id || rival.state == State::kFree || !StartsWith(rival, entry)) continue;
    if (!Serves(other, n_cached(id))) continue;
    rival.n_turns = std::max(rival.n_turns, entry.n_turns);
    rival.last_used = ++clock_;
    return Clear(id);
  }
  entry.state = State::kCached;
  entry.last_used = ++clock_;
  if (resumes) entry.n_turns = std::max(entry.n_turns, 1);
  if (limits_.cuts) DropSuperseded(id);
  DropExcess();
}

void PrefixCache::Checkpoint(CacheId id) {
  if (!limits_.copies) return;
  const CacheId copy = FreeId(-1);
  if (copy < 0) return;
  Copy(copy, {id, n_cached(id)});
  Entry& entry = entries_[copy];
  entry.state = State::kCached;
  entry.scope = entries_[id].scope;
  entry.n_prompt = n_cached(copy);
  entry.n_turns = entries_[id].n_turns;
  entry.n_uses = 0;
  entry.last_used = ++clock_;
  DropSuperseded(copy);
  DropExcess();
}

// A cached prefix of `id` is not needed beside it. In a memory that cannot be cut it stays once two
// sequences have started from it.
void PrefixCache::DropSuperseded(CacheId id) {
  for (CacheId other = 0; other < limits_.n_ids; ++other) {
    const Entry& older = entries_[other];
    if (other == id || older.state != State::kCached || !StartsWith(entries_[id], older)) continue;
    if (!limits_.cuts && older.n_uses > 1 && n_cached(other) < n_cached(id)) continue;
    entries_[id].n_turns = std::max(entries_[id].n_turns, older.n_turns);
    Clear(other);
  }
}

void PrefixCache::DropExcess() {
  while (n_used_ - n_open_cells() > limits_.max_cached_cells && EvictOne()) {
  }
}

bool PrefixCache::StartsWith(const Entry& entry, const Entry& prefix) const {
  const auto n = static_cast<int32_t>(prefix.tokens.size());
  return entry.scope == prefix.scope && entry.tokens.size() >= prefix.tokens.size() &&
         CommonPrefix(entry.tokens, prefix.tokens) == n;
}

void PrefixCache::Clear(CacheId id) {
  if (n_cached(id) > 0) edits_.push_back({CacheEdit::Kind::kClear, id});
  Release(id, 0);
  entries_[id] = {};
}

void PrefixCache::LostStored(StoredId id) { stored_.Remove(id); }

void PrefixCache::Lost(CacheId id) {
  Release(id, 0);
  if (entries_[id].state == State::kCached) entries_[id] = {};
}

CacheId PrefixCache::FreeId(CacheId spared) {
  // The lowest: a split KV cache computes adjacent ids together, and a gap splits the batch.
  const CacheId free = LowestFree();
  if (free >= 0) return free;
  const CacheId victim = LeastValuable([](CacheId) { return true; });
  if (victim >= 0 && victim != spared) Evict(victim);
  return victim;
}

bool PrefixCache::EvictOne() {
  const CacheId victim =
      LeastValuable([&](CacheId id) { return n_cached(id) > MaxShared(id, /*open_only=*/true); });
  if (victim >= 0) Evict(victim);
  return victim >= 0;
}

void PrefixCache::Evict(CacheId id) {
  Store(id);
  Clear(id);
}

// A prefix that is about to leave the cache goes to the host's memory, if the limits allow that.
void PrefixCache::Store(CacheId id) {
  if (!stored_.Accepts(n_cached(id))) return;
  const Entry& entry = entries_[id];
  const std::vector<StoredId> gone = stored_.Add({.tokens = entry.tokens,
                                                  .scope = entry.scope,
                                                  .n_prompt = entry.n_prompt,
                                                  .n_turns = entry.n_turns});
  for (const StoredId each : gone) Discard(each);
  edits_.push_back({CacheEdit::Kind::kStore, id, -1, n_cached(id), stored_.last_id()});
}

void PrefixCache::Discard(StoredId id) {
  edits_.push_back({CacheEdit::Kind::kDiscard, -1, -1, 0, id});
}

// Evicts what stands in the way of a restored prefix, since its cells are written before others of
// the same plan are cleared. False if there is no room, or if what was evicted is stored in the
// place of the prefix itself.
bool PrefixCache::MakeRoomToRestore(PrefixMatch match) {
  if (match.stored_id == 0) return false;
  while (n_used_ + match.n_tokens > limits_.n_cells) {
    if (!EvictOne()) return false;
  }
  return stored_.Get(match.stored_id) != nullptr;
}

// To an empty id. Returns how often the conversation was continued, with this time. A prefix that
// is continued is not needed any more as it was.
int32_t PrefixCache::Restore(CacheId id, PrefixMatch match) {
  const StoredPrefix& prefix = *stored_.Get(match.stored_id);
  const auto begin = prefix.tokens.begin();
  entries_[id].tokens.assign(begin, begin + match.n_tokens);
  n_used_ += match.n_tokens;
  ++n_restored_;
  edits_.push_back({CacheEdit::Kind::kRestore, id, -1, match.n_tokens, match.stored_id});
  const auto n_stored = static_cast<int32_t>(prefix.tokens.size());
  if (match.n_tokens < std::min(prefix.n_prompt - 1, n_stored)) {
    stored_.Touch(match.stored_id);
    return 0;
  }
  const int32_t n_turns = prefix.n_turns + 1;
  stored_.Remove(match.stored_id);
  Discard(match.stored_id);
  return n_turns;
}

CacheId PrefixCache::LeastValuable(const std::function<bool(CacheId)>& allowed) const {
  std::vector<CacheId> prefixes;
  for (CacheId id = 0; id < limits_.n_ids; ++id) {
    if (entries_[id].state == State::kCached) prefixes.push_back(id);
  }
  std::sort(prefixes.begin(), prefixes.end(),
            [&](CacheId a, CacheId b) { return entries_[a].last_used > entries_[b].last_used; });

  CacheId least = -1;
  CacheId least_protected = -1;
  int32_t n_tokens = 0;
  int32_t n_ids = 0;
  for (const CacheId id : prefixes) {
    bool is_protected = entries_[id].n_turns > 0;
    if (is_protected) {
      n_tokens += n_cached(id);
      is_protected =
          n_tokens <= ProtectedPart(std::min(limits_.n_cells, limits_.max_cached_cells)) &&
          ++n_ids <= ProtectedPart(limits_.n_ids);
    }
    if (allowed(id)) (is_protected ? least_protected : least) = id;
  }
  return least >= 0 ? least : least_protected;
}

void PrefixCache::Copy(CacheId id, PrefixMatch match) {
  const auto& source = entries_[match.id].tokens;
  entries_[id].tokens.assign(source.begin(), source.begin() + match.n_tokens);
  edits_.push_back({CacheEdit::Kind::kCopy, id, match.id, match.n_tokens});
  if (!limits_.shares_cells) {
    n_used_ += match.n_tokens;
    return;
  }
  for (CacheId other = 0; other < limits_.n_ids; ++other) {
    if (other == id) continue;
    const int32_t n =
        other == match.id ? match.n_tokens : std::min(match.n_tokens, Shared(match.id, other));
    Shared(id, other) = Shared(other, id) = n;
  }
}

void PrefixCache::Cut(CacheId id, int32_t n_tokens) {
  if (n_tokens == n_cached(id)) return;
  Release(id, n_tokens);
  edits_.push_back({CacheEdit::Kind::kCut, id, -1, n_tokens});
}

void PrefixCache::Release(CacheId id, int32_t n_tokens) {
  const int32_t n_others = MaxShared(id, /*open_only=*/false);
  n_used_ -= std::max(0, n_cached(id) - std::max(n_tokens, n_others));
  entries_[id].tokens.resize(n_tokens);
  for (CacheId other = 0; other < limits_.n_ids; ++other) {
    Shared(id, other) = Shared(other, id) = std::min(n_tokens, Shared(id, other));
  }
}

int32_t PrefixCache::MaxShared(CacheId id, bool open_only) const {
  int32_t most = 0;
  for (CacheId other = 0; other < limits_.n_ids; ++other) {
    if (open_only && entries_[other].state != State::kOpen) continue;
    most = std::max(most, Shared(id, other));
  }
  return most;
}

std::vector<CacheEdit> PrefixCache::TakeEdits() { return std::exchange(edits_, {}); }

int32_t PrefixCache::n_open_cells() const {
  int32_t n = 0;
  for (CacheId id = 0; id < limits_.n_ids; ++id) {
    if (entries_[id].state != State::kOpen) continue;
    int32_t n_counted = 0;
    for (CacheId other = 0; other < id; ++other) {
      if (entries_[other].state == State::kOpen) n_counted = std::max(n_counted, Shared(id, other));
    }
    n += n_cached(id) - n_counted;
  }
  return n;
}

int32_t PrefixCache::n_open_cells(PrefixMatch match) const {
  if (match.id < 0 || !limits_.shares_cells) return 0;
  if (entries_[match.id].state == State::kOpen) return match.n_tokens;
  return std::min(match.n_tokens, MaxShared(match.id, /*open_only=*/true));
}

CacheId PrefixCache::LowestFree() const {
  for (CacheId id = 0; id < limits_.n_ids; ++id) {
    if (entries_[id].state == State::kFree) return id;
  }
  return -1;
}

int32_t PrefixCache::Count(State state) const {
  return static_cast<int32_t>(
      std::count_if(entries_.begin(), entries_.end(),
                    [state](const Entry& entry) { return entry.state == state; }));
}

bool PrefixCache::Holds(CacheId id, std::span<const Token> tokens) const {
  const Entry& entry = entries_[id];
  return entry.state == State::kOpen && std::ranges::equal(entry.tokens, tokens);
}

void PrefixCache::CheckIntegrity() const {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
  };
  int32_t n = 0;
  for (CacheId id = 0; id < limits_.n_ids; ++id) {
    const Entry& entry = entries_[id];
    require(entry.state != State::kFree || entry.tokens.empty(), "a free id holds tokens");
    require(entry.state != State::kCached || !entry.tokens.empty(), "an empty prefix is cached");
    int32_t n_counted = 0;
    for (CacheId other = 0; other < limits_.n_ids; ++other) {
      const int32_t n_shared = Shared(id, other);
      if (n_shared == 0) continue;
      require(n_shared == Shared(other, id), "two ids disagree on what they share");
      require(n_shared <= n_cached(id), "an id shares more than it holds");
      require(entry.scope == entries_[other].scope, "two scopes share cells");
      require(CommonPrefix(entry.tokens, entries_[other].tokens) >= n_shared,
              "two ids share cells of different tokens");
      if (other < id) n_counted = std::max(n_counted, n_shared);
    }
    n += n_cached(id) - n_counted;
  }
  require(n == n_used_, "the number of cells in use is wrong");
  require(n_used_ <= limits_.n_cells, "more cells are used than there are");
}
