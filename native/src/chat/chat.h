// A chat to a tokenized prompt, through llama.cpp's Jinja engine. Const after construction, so that
// many worker threads render at the same time.
#pragma once

#include <common/common.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/control_text.h"
#include "core/reasoning_counter.h"
#include "llama.h"

class Model;
struct CallForm;
class common_json;
struct common_chat_params;
struct common_chat_templates_inputs;
struct common_chat_templates;
struct common_chat_tool;
struct ReplyFormat;
class ToolForm;

// What a sequence starts from, and what its reply has to look like.
struct Prompt {
  // Never empty.
  std::vector<llama_token> tokens;
  // Texts that end a turn in this template's format although no token says so.
  std::vector<std::string> stops;
  // Control tokens whose text belongs to the reply's format, such as the marks of a tool call.
  std::set<llama_token> shown_tokens;
  // How to take the reply apart; null where all of it is content.
  std::shared_ptr<const ReplyFormat> format;
  // Counts a reply's reasoning; to be copied.
  ReasoningCounter reasoning;
  // Only the fields that `Constrain` copies are set.
  common_params_sampling constraints;

  // Sets what the format asks of sampling: a grammar, its triggers, a limit to the reasoning.
  void Constrain(common_params_sampling* sampling) const;
};

class Chat {
 public:
  // Uses `template_override` (Jinja) when it is not empty, else the model's own template, else
  // ChatML. Throws std::exception when the template does not parse. `model` must outlive this
  // object.
  Chat(const Model* model, const std::string& template_override);
  ~Chat();

  // `request` is a JSON object; every key but the first may be missing:
  //   messages            array, as in OpenAI's API, contents being strings
  //   tools               array, as in OpenAI's API
  //   enforcedTools       array like `tools`; without it, `tools` are what calls have to follow
  //   toolChoice          "auto" (the default), "none" or "required"
  //   parallelToolCalls   boolean; without it, where the template has a form for it
  //   jsonSchema          what the reply must conform to, where it calls no tool
  //   grammar             GBNF the reply must follow
  //   thinking            boolean; without it, what the template does by itself
  //   thinkingBudget      tokens of reasoning at most
  //   templateArguments   object of further variables for the template
  // A last message of the assistant is continued. Texts of control tokens in the messages and tools
  // stay text. Throws std::exception when a part is refused.
  Prompt Prepare(const std::string& request) const;

  // The prompt of `request` as text, as `Prepare` tokenizes it.
  std::string Render(const std::string& request) const;

  // Whether the template has a place for reasoning.
  bool knows_thinking() const { return knows_thinking_; }
  // Whether the template makes the model reason unless told otherwise.
  bool thinks_by_default() const { return thinks_by_default_; }
  // Whether tools can be offered: the template has a place for them, or they are told in words.
  bool knows_tools() const { return knows_tools_; }

 private:
  struct Deleter {
    void operator()(common_chat_templates* templates) const;
  };

  common_chat_params ApplyTemplate(const common_chat_templates_inputs& inputs) const;
  common_chat_params Apply(const common_json& request, common_chat_templates_inputs* inputs) const;
  std::vector<common_chat_tool> EnforcedTools(const common_json& request,
                                              const std::vector<common_chat_tool>& shown) const;
  common_chat_params ApplyInWords(const common_json& request,
                                  common_chat_templates_inputs* inputs) const;
  std::string CallOrSchema(const common_json& request,
                           const common_chat_templates_inputs& inputs) const;
  void EnforceArguments(const common_chat_templates_inputs& inputs,
                        common_chat_params* calls) const;
  static std::string ReplyGrammar(const common_chat_params& rendered,
                                  const common_chat_templates_inputs& inputs);
  void SetFormat(const common_chat_params& rendered, const common_chat_templates_inputs& inputs,
                 Prompt* prompt) const;
  void SetGrammar(const common_chat_params& rendered, const common_chat_templates_inputs& inputs,
                  common_params_sampling* constraints) const;
  void SetReasoning(const common_chat_params& rendered, int32_t budget,
                    common_params_sampling* constraints) const;

  const Model* model_;
  ControlTexts control_texts_;
  std::unique_ptr<common_chat_templates, Deleter> templates_;
  // Where an end token misleads the analysis of `templates_`: the same without one.
  std::unique_ptr<common_chat_templates, Deleter> unmarked_templates_;
  // Where the template has no place for tools; then they are told in words.
  std::unique_ptr<const ToolForm> tool_form_;
  bool knows_thinking_ = false;
  bool thinks_by_default_ = false;
  bool renders_plainly_ = false;
  bool knows_tools_ = false;
  bool calls_in_parallel_ = false;
  // Whether calls hold their arguments as JSON, of which llama.cpp enforces all.
  bool json_arguments_ = true;
  // Of calls whose arguments are not, where llama.cpp enforces nothing of them.
  const CallForm* call_form_ = nullptr;
};
