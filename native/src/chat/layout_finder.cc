#include "chat/layout_finder.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "chat/template_refusal.h"
#include "core/error.h"

namespace {

constexpr size_t kMaxFindings = 1000;
// Conversations with a longer outline are looked at anew.
constexpr size_t kMaxKeySize = 16384;
// The longest row of messages that is taken for one turn of a loop: a user message, two calls with
// their results, and an answer.
constexpr size_t kMaxPeriod = 6;

std::string ShapeOf(const common_chat_msg& message) {
  std::string shape = message.role;
  if (message.content.empty()) shape += "-empty";
  if (!message.reasoning_content.empty()) shape += "-reasoning";
  // Three calls look like more.
  return shape + std::string(std::min<size_t>(message.tool_calls.size(), 3), '*') + " ";
}

// Which call of `caller`, the last message that calls, a result answers.
std::string ShapeOfResult(const common_chat_msg& result, const common_chat_msg* caller) {
  std::string shape = result.tool_name.empty() ? "" : "named ";
  if (caller == nullptr) return shape + "without-call ";
  const auto call =
      std::ranges::find(caller->tool_calls, result.tool_call_id, &common_chat_tool_call::id);
  if (call == caller->tool_calls.end()) return shape + "of-another-call ";
  return shape + std::to_string(call - caller->tool_calls.begin()) + " ";
}

// True if the last `period` items occur three times in a row at the end.
bool EndsWithThree(const std::vector<std::string>& shapes, size_t period) {
  if (shapes.size() < 3 * period) return false;
  const auto last = shapes.end() - static_cast<ptrdiff_t>(period);
  return std::equal(last, shapes.end(), last - static_cast<ptrdiff_t>(period)) &&
         std::equal(last, shapes.end(), last - static_cast<ptrdiff_t>(2 * period));
}

// Messages and their shapes. A turn that repeats is there twice: a template that shows it twice
// shows it any number of times.
struct Outline {
  std::vector<std::string> shapes;
  std::vector<const common_chat_msg*> messages;
};

Outline OutlineOf(const std::vector<common_chat_msg>& messages) {
  Outline outline;
  const common_chat_msg* caller = nullptr;
  for (const common_chat_msg& message : messages) {
    outline.shapes.push_back(ShapeOf(message));
    if (message.role == "tool") outline.shapes.back() += ShapeOfResult(message, caller);
    if (!message.tool_calls.empty()) caller = &message;
    outline.messages.push_back(&message);
    for (size_t period = 1; period <= kMaxPeriod; ++period) {
      if (!EndsWithThree(outline.shapes, period)) continue;
      outline.shapes.resize(outline.shapes.size() - period);
      outline.messages.resize(outline.messages.size() - period);
      break;
    }
  }
  return outline;
}

std::string KeyOf(const Outline& outline, const common_chat_templates_inputs& inputs) {
  std::string key;
  for (const std::string& shape : outline.shapes) key += shape;
  if (!inputs.tools.empty()) key += "tools ";
  if (inputs.enable_thinking) key += "thinking ";
  if (!inputs.add_generation_prompt) key += "without-header ";
  if (inputs.continue_final_message != COMMON_CHAT_CONTINUATION_NONE) key += "continued";
  return key;
}

std::string Word(size_t number) { return "probe" + std::to_string(number) + "word"; }

// Ids of nine letters and digits: templates of Mistral's refuse others.
class ProbeIds {
 public:
  std::string Of(const std::string& id) {
    const size_t number = ids_.emplace(id, ids_.size()).first->second;
    const std::string digits = std::to_string(number % 100'000);
    return "call" + std::string(5 - digits.size(), '0') + digits;
  }

 private:
  std::map<std::string, size_t> ids_;
};

common_chat_templates_inputs ProbeInputs(const Outline& outline,
                                         const common_chat_templates_inputs& inputs) {
  common_chat_templates_inputs probe;
  probe.enable_thinking = inputs.enable_thinking;
  probe.reasoning_format = inputs.reasoning_format;
  probe.continue_final_message = inputs.continue_final_message;
  probe.add_generation_prompt = inputs.add_generation_prompt;
  probe.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
  if (!inputs.tools.empty()) {
    probe.tools = {
        {"probe", "A probe", R"({"type": "object", "properties": {"text": {"type": "string"}}})"}};
  }
  ProbeIds ids;
  size_t n_words = 0;
  for (const common_chat_msg* message : outline.messages) {
    common_chat_msg sample;
    sample.role = message->role;
    if (!message->content.empty()) sample.content = Word(n_words++);
    if (!message->reasoning_content.empty()) sample.reasoning_content = "thought";
    for (const auto& call : message->tool_calls) {
      const std::string arguments = R"({"text": ")" + Word(n_words++) + R"("})";
      sample.tool_calls.push_back({"probe", arguments, ids.Of(call.id)});
    }
    if (message->role == "tool") {
      sample.tool_name = message->tool_name.empty() ? "" : "probe";
      sample.tool_call_id = ids.Of(message->tool_call_id);
    }
    probe.messages.push_back(std::move(sample));
  }
  return probe;
}

// Searches words that mostly stand in the order in which they are asked for.
class WordSearch {
 public:
  explicit WordSearch(const std::string& prompt) : prompt_(prompt) {}

  bool Finds(const std::string& word) {
    size_t at = prompt_.find(word, at_);
    if (at == std::string::npos) at = prompt_.find(word);
    if (at == std::string::npos) return false;
    at_ = at;
    return true;
  }

  bool Shows(const common_chat_msg& message) {
    return Finds(message.content) &&
           std::ranges::all_of(message.tool_calls, [&](const common_chat_tool_call& call) {
             const size_t begin = call.arguments.find("probe");
             const size_t end = call.arguments.find('"', begin);
             return Finds(call.arguments.substr(begin, end - begin));
           });
  }

 private:
  const std::string& prompt_;
  size_t at_ = 0;
};

// The first message that `prompt` does not show in full.
const common_chat_msg* FirstHidden(const std::string& prompt,
                                   const std::vector<common_chat_msg>& messages) {
  WordSearch words(prompt);
  const auto hidden = std::ranges::find_if_not(
      messages, [&](const common_chat_msg& message) { return words.Shows(message); });
  return hidden == messages.end() ? nullptr : &*hidden;
}

bool HasSystem(const std::vector<common_chat_msg>& messages) {
  return std::ranges::any_of(
      messages, [](const common_chat_msg& message) { return message.role == "system"; });
}

}  // namespace

LayoutFinder::LayoutFinder(Render render, bool has_system_role)
    : render_(std::move(render)), has_system_role_(has_system_role) {
  common_chat_templates_inputs inputs;
  inputs.messages.emplace_back();
  inputs.messages.back().role = "user";
  inputs.messages.back().content = Word(0);
  try {
    shows_words_ = render_(inputs).find(Word(0)) != std::string::npos;
  } catch (const std::exception&) {
    shows_words_ = false;
  }
}

MessageLayout LayoutFinder::Find(const common_chat_templates_inputs& inputs) const {
  if (!shows_words_) return {};
  const Outline outline = OutlineOf(inputs.messages);
  const std::string key = KeyOf(outline, inputs);
  std::optional<Finding> finding;
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = findings_.find(key); known != findings_.end()) finding = known->second;
  }
  if (!finding) {
    finding = Search(ProbeInputs(outline, inputs));
    if (key.size() <= kMaxKeySize) {
      const std::lock_guard lock(mutex_);
      if (findings_.size() == kMaxFindings) findings_.clear();
      findings_[key] = *finding;
    }
  }
  if (!finding->refusal.empty()) throw RequestRefusal("messages", finding->refusal);
  return finding->layout;
}

LayoutFinder::Finding LayoutFinder::Search(const common_chat_templates_inputs& probe) const {
  Finding finding;
  std::vector<std::vector<common_chat_msg>> tried;
  for (const MessageLayout& layout : AllMessageLayouts()) {
    common_chat_templates_inputs arranged = probe;
    arranged.messages = layout.Arrange(probe.messages);
    if (!has_system_role_ && HasSystem(arranged.messages)) continue;
    if (std::ranges::find(tried, arranged.messages) != tried.end()) continue;
    tried.push_back(arranged.messages);
    std::string refusal;
    try {
      const common_chat_msg* hidden = FirstHidden(render_(arranged), probe.messages);
      if (hidden == nullptr) return {layout, ""};
      refusal = "The model's chat template leaves out a message of the role `" + hidden->role +
                "` where it stands.";
    } catch (const std::exception& error) {
      refusal = TemplateRefusal(error);
    }
    // The reason against the messages as they were sent is the one that a client understands.
    if (finding.refusal.empty()) finding.refusal = refusal;
  }
  return finding;
}
