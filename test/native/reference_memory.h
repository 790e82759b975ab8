// A KV cache as llama.cpp has it, in its simplest form: cells, each with the token that was
// computed in it and the ids that hold it. What the books of PrefixCache are held against.
#pragma once

#include <doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "schedule/prefix_cache.h"

class ReferenceMemory {
 public:
  explicit ReferenceMemory(const CacheLimits& limits) : limits_(limits) {}

  void Apply(const std::vector<CacheEdit>& edits) {
    for (const CacheEdit& edit : edits) {
      if (edit.kind == CacheEdit::Kind::kDiscard) {
        REQUIRE(stored_.erase(edit.stored_id) == 1);
        continue;
      }
      auto& cells = ids_[edit.id];
      switch (edit.kind) {
        case CacheEdit::Kind::kCopy: {
          const auto& source = ids_[edit.source];
          REQUIRE(edit.id != edit.source);
          REQUIRE(cells.empty());
          REQUIRE(edit.n_tokens > 0);
          REQUIRE(edit.n_tokens <= static_cast<int32_t>(source.size()));
          REQUIRE(limits_.copies);
          if (!limits_.cuts) REQUIRE(edit.n_tokens == static_cast<int32_t>(source.size()));
          for (int32_t i = 0; i < edit.n_tokens; ++i) {
            cells.push_back(limits_.shares_cells ? source[i] : NewCell(*source[i]));
          }
          break;
        }
        case CacheEdit::Kind::kCut:
          REQUIRE(limits_.cuts);
          REQUIRE(edit.n_tokens < static_cast<int32_t>(cells.size()));
          cells.resize(edit.n_tokens);
          break;
        case CacheEdit::Kind::kSwap:
          REQUIRE(!cells.empty());
          REQUIRE(!ids_[edit.source].empty());
          std::swap(ids_[edit.id], ids_[edit.source]);
          break;
        case CacheEdit::Kind::kClear:
          REQUIRE(!cells.empty());
          cells.clear();
          break;
        case CacheEdit::Kind::kStore: {
          REQUIRE(static_cast<int32_t>(cells.size()) == edit.n_tokens);
          REQUIRE(stored_.emplace(edit.stored_id, cells).second);
          int32_t n_stored = 0;
          for (const auto& [id, stored] : stored_) n_stored += static_cast<int32_t>(stored.size());
          REQUIRE(n_stored <= limits_.max_stored_tokens);
          break;
        }
        case CacheEdit::Kind::kRestore: {
          REQUIRE(cells.empty());
          const auto& source = stored_.at(edit.stored_id);
          REQUIRE(edit.n_tokens <= static_cast<int32_t>(source.size()));
          for (int32_t i = 0; i < edit.n_tokens; ++i) cells.push_back(NewCell(*source[i]));
          // Its cells are there at once, whatever is cleared behind it.
          REQUIRE(n_cells() <= limits_.n_cells);
          break;
        }
        case CacheEdit::Kind::kDiscard:
          break;
      }
    }
  }

  // Computes `tokens` behind what `id` holds.
  void Compute(CacheId id, std::span<const Token> tokens, const std::string& scope) {
    for (const Token token : tokens) ids_[id].push_back(NewCell({token, scope}));
  }

  void RequireHolds(CacheId id, std::span<const Token> tokens, const std::string& scope) const {
    const auto found = ids_.find(id);
    const std::vector<Cell> none;
    const std::vector<Cell>& cells = found == ids_.end() ? none : found->second;
    const bool same = std::equal(cells.begin(), cells.end(), tokens.begin(), tokens.end(),
                                 [&](const Cell& cell, Token token) {
                                   return cell->token == token && cell->scope == scope;
                                 });
    REQUIRE(same);
  }

  // Cells in use, each counted once.
  int32_t n_cells() const {
    std::vector<const Content*> cells;
    for (const auto& [id, held] : ids_) {
      for (const auto& cell : held) cells.push_back(cell.get());
    }
    std::sort(cells.begin(), cells.end());
    return static_cast<int32_t>(std::unique(cells.begin(), cells.end()) - cells.begin());
  }

 private:
  struct Content {
    Token token;
    // Of the sequence that computed it.
    std::string scope;
  };
  using Cell = std::shared_ptr<const Content>;

  static Cell NewCell(const Content& content) { return std::make_shared<const Content>(content); }

  CacheLimits limits_;
  std::map<CacheId, std::vector<Cell>> ids_;
  // What was stored has no cells: these are copies of them.
  std::map<StoredId, std::vector<Cell>> stored_;
};
