#include "chat/reply_form.h"

#include <common/chat-peg-parser.h>
#include <common/json-schema-to-grammar.h>

#include <algorithm>
#include <exception>

namespace {

constexpr const char* kReasoningWord = "reasoning-7f3a";
constexpr const char* kContentWord = "content-7f3a";

std::string Trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \n") + 1 - first);
}

// The white space at the end of a text.
std::string SpaceBehind(const std::string& text) {
  return text.substr(text.find_last_not_of(" \n") + 1);
}

// What a reply without reasoning has between its header and its content: formats of several
// messages repeat the header before the content.
std::string ContentHeader(const std::string& generation_prompt, const ReplyEdges& edges) {
  const size_t header = edges.closing.rfind(generation_prompt);
  if (generation_prompt.empty() || header == std::string::npos) return {};
  return edges.closing.substr(header + generation_prompt.size());
}

// The mark that ends reasoning. A limit on reasoning forces this part of `closing` alone.
std::string EndOfReasoning(const common_chat_params& rendered, const std::string& closing) {
  for (const std::string& tag : rendered.thinking_end_tags) {
    if (!tag.empty() && closing.starts_with(tag)) return tag;
  }
  return closing;
}

}  // namespace

HeaderReasoning HeaderReasoningOf(const common_chat_params& rendered) {
  const std::string& header = rendered.generation_prompt;
  const std::string& start = rendered.thinking_start_tag;
  const size_t begin = start.empty() ? std::string::npos : header.rfind(start);
  if (begin == std::string::npos) return HeaderReasoning::kNone;
  const bool is_over = std::ranges::any_of(rendered.thinking_end_tags, [&](const std::string& tag) {
    return header.find(tag, begin + start.size()) != std::string::npos;
  });
  return is_over ? HeaderReasoning::kClosed : HeaderReasoning::kOpen;
}

std::optional<ReplyEdges> FindReplyEdges(const common_chat_templates* templates,
                                         const common_chat_templates_inputs& inputs) {
  common_chat_templates_inputs continued = inputs;
  continued.json_schema.clear();
  continued.tools.clear();
  continued.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
  if (continued.continue_final_message == COMMON_CHAT_CONTINUATION_NONE) {
    continued.messages.emplace_back().role = "assistant";
  }
  continued.messages.back().reasoning_content = kReasoningWord;
  continued.messages.back().content = kContentWord;
  continued.continue_final_message = COMMON_CHAT_CONTINUATION_CONTENT;
  continued.add_generation_prompt = false;
  try {
    const std::string header = common_chat_templates_apply(templates, continued).generation_prompt;
    const size_t reasoning = header.find(kReasoningWord);
    if (reasoning == std::string::npos) return std::nullopt;
    const size_t end = reasoning + std::string(kReasoningWord).size();
    const size_t content = header.find(kContentWord, end);
    if (content == std::string::npos) return std::nullopt;
    return ReplyEdges{header.substr(0, reasoning), header.substr(end, content - end)};
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::optional<ReplyEdges> ReplyEdgesOf(const common_chat_params& rendered) {
  const std::string& start = rendered.thinking_start_tag;
  if (start.empty() || rendered.thinking_end_tags.empty()) return std::nullopt;
  const std::string& end = rendered.thinking_end_tags.front();
  const std::string& header = rendered.generation_prompt;
  switch (HeaderReasoningOf(rendered)) {
    case HeaderReasoning::kNone:
      return ReplyEdges{header + start, end};
    case HeaderReasoning::kOpen:
      return ReplyEdges{header, end};
    case HeaderReasoning::kClosed:
      break;
  }
  return std::nullopt;
}

std::string ReplyFormGrammar(const common_chat_params& rendered, std::optional<ReplyEdges> edges,
                             bool may_think, const common_json& schema, Gap gap) {
  const std::string& generation_prompt = rendered.generation_prompt;
  // Reasoning may begin with white space, or with a text, that histories do not show.
  if (edges && generation_prompt.starts_with(edges->opening)) {
    const std::string begun = generation_prompt.substr(edges->opening.size());
    const bool is_open = HeaderReasoningOf(rendered) == HeaderReasoning::kOpen;
    if (Trimmed(begun).empty() || is_open) edges->opening = generation_prompt;
  }
  const auto parser = build_chat_peg_parser([&](common_chat_peg_builder& p) {
    const auto header = p.literal(generation_prompt);
    const auto content = p.content(p.schema(p.json(), "response-format-schema", schema));
    // A header that goes beyond the opening has ended the reasoning, or begun the content.
    if (!edges || !edges->opening.starts_with(generation_prompt)) return header + content;
    const std::string opening = edges->opening.substr(generation_prompt.size());
    const std::string closing = Trimmed(edges->closing);
    const auto thought =
        p.rule("thought", p.literal(opening) +
                              p.reasoning(p.until(EndOfReasoning(rendered, closing))) +
                              p.literal(closing)) +
        (gap == Gap::kAnySpace ? p.space() : p.literal(SpaceBehind(edges->closing))) + content;
    if (opening.empty() && !closing.empty()) return header + thought;
    const auto direct = p.literal(ContentHeader(generation_prompt, *edges)) + content;
    if (!may_think || closing.empty()) return header + direct;
    return header + p.choice({thought, direct});
  });
  return build_grammar(
      [&](const common_grammar_builder& builder) { parser.build_grammar(builder, false); });
}
