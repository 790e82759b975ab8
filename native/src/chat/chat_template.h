// The chat template of a model, as llama.cpp parses and applies it, and what it can do. Const after
// construction.
#pragma once

#include <common/chat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/call_adapter.h"
#include "chat/layout_finder.h"
#include "chat/reply_form.h"
#include "chat/tool_display.h"
#include "chat/tool_form.h"
#include "grammar/reply_grammar.h"

class ChatTemplate {
 public:
  // Uses `template_override` (Jinja) when it is not empty, else the model's own template, else
  // ChatML. Throws std::exception when the template does not parse. `model` only has to outlive the
  // constructor.
  ChatTemplate(const llama_model* model, const std::string& template_override);
  ChatTemplate(const ChatTemplate&) = delete;

  // The prompt for `inputs`, and how the reply to it looks. Messages stand where the template has a
  // place for them. Throws RequestRefusal where it has none.
  common_chat_params Apply(const common_chat_templates_inputs& inputs) const;
  // The grammar of a reply to `inputs` that follows `inputs.json_schema`, where Apply() returned
  // `rendered` without one.
  std::string SchemaGrammar(const common_chat_templates_inputs& inputs,
                            const common_chat_params& rendered) const;
  // The grammar of a reply whose content follows the GBNF `content`, behind the reasoning. The form
  // of the reply is that of `rendered`, which has no grammar.
  std::string ContentGrammar(const common_chat_templates_inputs& inputs,
                             const common_chat_params& rendered, const std::string& content) const;
  // The headers that a reply to `inputs` may have, in llama.cpp's form: the one of `rendered`, then
  // those without a text that the reply continues.
  std::vector<std::string> ReplyHeaders(const common_chat_templates_inputs& inputs,
                                        const common_chat_params& rendered) const;
  // What stands otherwise in the prompt than in `messages`, as MessageLayout::changes.
  std::vector<std::string> Changes(const common_chat_templates_inputs& inputs) const;
  // The prompt alone, for inputs whose tools llama.cpp may not understand.
  std::string RenderPrompt(const common_chat_templates_inputs& inputs) const;

  // True if the template has a place for reasoning.
  bool supports_thinking() const { return supports_thinking_; }
  // True if the template makes the model reason unless a request says otherwise.
  bool thinks_by_default() const { return thinks_by_default_; }
  // True if tools can be offered: in the template's own form, or in words.
  bool supports_tools() const { return supports_tools_; }
  bool supports_parallel_calls() const { return supports_parallel_calls_; }
  const CallFormat& call_format() const { return call_format_; }
  // Tools in words, where the template has no place for them; else null.
  const ToolForm* tool_form() const { return tool_form_.get(); }

 private:
  void FindCallFormat();
  void FindHistoryForm();
  common_chat_templates_inputs Arranged(const common_chat_templates_inputs& inputs) const;
  common_chat_params ApplyArranged(const common_chat_templates_inputs& inputs) const;
  // Where a reply to `inputs` has its reasoning and its content, by the template, else by the marks
  // of `rendered`.
  std::optional<ReplyEdges> Edges(const common_chat_templates_inputs& inputs,
                                  const common_chat_params& rendered) const;
  std::string RenderArranged(const common_chat_templates_inputs& inputs) const;
  std::string RenderAsGiven(const common_chat_templates_inputs& inputs) const;
  std::string RenderWithoutReply(const common_chat_templates_inputs& inputs) const;
  std::string ContinuedHeader(const common_chat_templates_inputs& inputs) const;

  common_chat_templates_ptr templates_;
  // Where an end token misleads the analysis of `templates_`: the same without one. Else null.
  common_chat_templates_ptr unmarked_templates_;
  // The same without tools in the prompt, for schemas that the template cannot read.
  common_chat_templates_ptr toolless_templates_;
  std::unique_ptr<const ToolForm> tool_form_;
  std::unique_ptr<const ToolDisplay> tool_display_;
  std::unique_ptr<const CallAdapter> call_adapter_;
  std::unique_ptr<const LayoutFinder> layouts_;
  CallFormat call_format_;
  bool supports_thinking_ = false;
  bool thinks_by_default_ = false;
  bool renders_plainly_ = false;
  // llama.cpp renders it without an analysis of how replies look.
  bool has_own_code_ = false;
  // True for a template that leaves out, or refuses, what it does not know of a tool's schema.
  bool hides_schemas_ = false;
  bool supports_tools_ = false;
  bool supports_parallel_calls_ = false;
};
