#include "llama/lazy_grammar.h"

#include <common/common.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "llama/model.h"

LazyGrammar::LazyGrammar(const Model* model, const common_params_sampling& params,
                         ReasoningCounter reasoning)
    : model_(model), reasoning_(std::move(reasoning)) {
  std::vector<std::string> words;
  std::vector<std::string> patterns;
  for (const common_grammar_trigger& trigger : params.grammar_triggers) {
    switch (trigger.type) {
      case COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN:
        trigger_tokens_.push_back(trigger.token);
        break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_WORD:
        words.push_back(trigger.value);
        break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN:
        patterns.push_back(trigger.value);
        break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL:
        patterns.push_back("^(?:" + trigger.value + ")$");
        break;
    }
  }
  std::vector<std::string> all = patterns;
  for (const std::string& word : words) all.push_back(regex_escape(word));
  std::vector<const char*> texts;
  for (const std::string& text : all) texts.push_back(text.c_str());
  triggers_ = TriggerFinder(std::move(words), patterns);
  grammar_.reset(llama_sampler_init_grammar_lazy_patterns(
      llama_model_get_vocab(model->get()), common_grammar_value(params.grammar).c_str(), "root",
      texts.data(), texts.size(), trigger_tokens_.data(), trigger_tokens_.size()));
  if (!grammar_) throw std::runtime_error("failed to parse grammar");
}

bool LazyGrammar::Allows(llama_token token) {
  if (!has_begun_) return true;
  llama_token_data candidate{token, 1.0f, 0.0f};
  llama_token_data_array candidates{&candidate, 1, -1, false};
  llama_sampler_apply(grammar_.get(), &candidates);
  return candidate.logit != -INFINITY;
}

void LazyGrammar::Mask(std::span<float> logits) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates_.push_back({static_cast<llama_token>(i), logits[i], 0.0f});
  }
  llama_token_data_array candidates{candidates_.data(), candidates_.size(), -1, false};
  llama_sampler_apply(grammar_.get(), &candidates);
  for (size_t i = 0; i < candidates.size; ++i) {
    logits[static_cast<size_t>(candidates.data[i].id)] = candidates.data[i].logit;
  }
}

void LazyGrammar::Accept(llama_token token) {
  if (has_begun_) {
    llama_sampler_accept(grammar_.get(), token);
    return;
  }
  std::string piece;
  model_->AppendPiece(token, /*show_control=*/true, &piece);
  const bool was_inside = reasoning_.is_inside();
  reasoning_.Push(piece);
  Remember(token, piece.size());
  if (reasoning_.is_inside()) return;
  if (was_inside) {
    // The mark that ended the reasoning may belong to the beginning of a call.
    triggers_.Clear();
    ForgetBefore(reasoning_.max_end_size());
    for (const Recent& each : recent_) {
      std::string text;
      model_->AppendPiece(each.token, /*show_control=*/true, &text);
      if (triggers_.Push(text)) return Begin();
    }
  } else if (triggers_.Push(piece)) {
    return Begin();
  }
  if (std::ranges::find(trigger_tokens_, token) != trigger_tokens_.end()) Begin();
}

void LazyGrammar::Remember(llama_token token, size_t n_bytes) {
  recent_.push_back({token, n_bytes});
  n_recent_bytes_ += n_bytes;
  ForgetBefore(TriggerFinder::kWindow + n_bytes);
}

// Keeps the tokens of the last `n_bytes`, and of what precedes them within a token.
void LazyGrammar::ForgetBefore(size_t n_bytes) {
  while (!recent_.empty() && n_recent_bytes_ - recent_.front().n_bytes >= n_bytes) {
    n_recent_bytes_ -= recent_.front().n_bytes;
    recent_.pop_front();
  }
}

// llama.cpp finds the beginning of the call in these tokens once more, and begins there.
void LazyGrammar::Begin() {
  has_begun_ = true;
  for (const Recent& each : recent_) llama_sampler_accept(grammar_.get(), each.token);
  recent_.clear();
}
