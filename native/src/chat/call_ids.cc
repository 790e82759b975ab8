#include "chat/call_ids.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace {

constexpr size_t kIdLength = 9;
constexpr std::string_view kLetters =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// FNV-1a: the same on every machine.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string ShortId(uint64_t number) {
  std::string id;
  for (size_t i = 0; i < kIdLength; ++i, number /= kLetters.size()) {
    id += kLetters[number % kLetters.size()];
  }
  return id;
}

class IdMap {
 public:
  void Shorten(std::string* id) {
    if (id->empty()) return;
    const auto [known, is_new] = short_ids_.try_emplace(*id);
    if (is_new) known->second = NewShortId(*id);
    *id = known->second;
  }

 private:
  std::string NewShortId(const std::string& id) {
    std::string short_id = IsShortId(id) ? id : ShortId(Hash(id));
    for (uint64_t salt = 1; !used_.insert(short_id).second; ++salt) {
      short_id = ShortId(Hash(id) + salt);
    }
    return short_id;
  }

  std::map<std::string, std::string> short_ids_;
  std::set<std::string> used_;
};

}  // namespace

bool IsShortId(const std::string& id) {
  return id.size() == kIdLength &&
         std::ranges::all_of(id, [](char c) { return kLetters.find(c) != std::string_view::npos; });
}

void ShortenIds(std::vector<common_chat_msg>* messages) {
  IdMap ids;
  for (common_chat_msg& message : *messages) {
    for (common_chat_tool_call& call : message.tool_calls) ids.Shorten(&call.id);
    ids.Shorten(&message.tool_call_id);
  }
}
