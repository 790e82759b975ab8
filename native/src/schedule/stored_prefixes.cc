#include "schedule/stored_prefixes.h"

#include <algorithm>
#include <utility>

#include "schedule/common_prefix.h"

namespace {

// A shorter prefix is computed again as fast as it is copied twice.
constexpr int32_t kMinTokens = 32;

}  // namespace

StoredMatch StoredPrefixes::Find(std::span<const Token> prompt, const std::string& scope) const {
  StoredMatch best;
  for (const StoredPrefix& each : prefixes_) {
    if (each.scope != scope) continue;
    const int32_t n = CommonPrefix(each.tokens, prompt);
    if (n >= kMinTokens && n >= best.n_tokens) best = {each.id, n};
  }
  return best;
}

bool StoredPrefixes::Accepts(int32_t n_tokens) const {
  return n_tokens >= kMinTokens && n_tokens <= max_tokens_;
}

std::vector<StoredId> StoredPrefixes::Add(StoredPrefix prefix) {
  std::vector<StoredId> gone;
  for (const StoredPrefix& each : prefixes_) {
    const auto n = static_cast<int32_t>(each.tokens.size());
    if (each.scope != prefix.scope || CommonPrefix(each.tokens, prefix.tokens) < n) continue;
    prefix.n_turns = std::max(prefix.n_turns, each.n_turns);
    gone.push_back(each.id);
  }
  for (const StoredId id : gone) Remove(id);
  const auto n_new = static_cast<int32_t>(prefix.tokens.size());
  while (n_tokens_ > max_tokens_ - n_new) {
    gone.push_back(LeastValuable());
    Remove(gone.back());
  }
  prefix.id = ++last_id_;
  n_tokens_ += n_new;
  prefixes_.push_back(std::move(prefix));
  return gone;
}

const StoredPrefix* StoredPrefixes::Get(StoredId id) const {
  const auto found = std::ranges::find(prefixes_, id, &StoredPrefix::id);
  return found == prefixes_.end() ? nullptr : &*found;
}

void StoredPrefixes::Touch(StoredId id) {
  const auto found = std::ranges::find(prefixes_, id, &StoredPrefix::id);
  if (found != prefixes_.end()) std::rotate(found, found + 1, prefixes_.end());
}

void StoredPrefixes::Remove(StoredId id) {
  const auto found = std::ranges::find(prefixes_, id, &StoredPrefix::id);
  if (found == prefixes_.end()) return;
  n_tokens_ -= static_cast<int32_t>(found->tokens.size());
  prefixes_.erase(found);
}

// Single calls may not push conversations out, which take three quarters at most.
StoredId StoredPrefixes::LeastValuable() const {
  int32_t n_of_conversations = 0;
  for (const StoredPrefix& each : prefixes_) {
    if (each.n_turns > 0) n_of_conversations += static_cast<int32_t>(each.tokens.size());
  }
  const auto single = std::ranges::find(prefixes_, 0, &StoredPrefix::n_turns);
  const bool protects = n_of_conversations <= max_tokens_ / 4 * 3;
  return protects && single != prefixes_.end() ? single->id : prefixes_.front().id;
}
