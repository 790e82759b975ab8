// Parses a reply while it grows: reasoning, content, tool calls. The result of llama.cpp's parser
// for the text so far is compared with what was emitted before, so that every character is emitted
// once.
#pragma once

#include <common/chat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/nesting_depth.h"

// How a template family writes its replies.
struct ReplyFormat {
  common_chat_parser_params params;
  // Names of tools in a reply that are not the client's, and the client's.
  std::map<std::string, std::string> tool_names;
};

// The next piece of a reply.
struct ReplyDelta {
  enum class Kind { kReasoning, kContent, kToolCall };
  Kind kind = Kind::kContent;
  // Of a tool call: the next characters of its arguments, a JSON text; may then be empty.
  std::string text;
  // Of a tool call: which one, from 0. The first delta of each has its name, and its id where the
  // model gave one.
  int32_t call_index = 0;
  std::string call_name;
  std::string call_id;
};

// Not safe for use by two threads at the same time.
class ReplyParser {
 public:
  explicit ReplyParser(std::shared_ptr<const ReplyFormat> format);

  // What `text`, which follows all text before, adds to the reply. Text that could begin a mark is
  // held back until that is decided; after the last piece nothing is held back.
  std::vector<ReplyDelta> Push(const std::string& text, bool is_last);

 private:
  struct SentCall {
    bool announced = false;
    size_t n_argument_bytes = 0;
  };

  // False for a text of another format, and for one that nests too deeply.
  bool Parse(bool is_partial, common_chat_msg* message) const;
  void Emit(const common_chat_msg& message, bool is_last, std::vector<ReplyDelta>* deltas);
  void EmitRemainder(std::vector<ReplyDelta>* deltas);

  std::shared_ptr<const ReplyFormat> format_;
  std::string text_;
  // Of the header and the text.
  NestingDepth depth_;
  // White space of the header that llama.cpp's parser takes for the beginning of the content.
  std::string header_space_;
  // The content that the client gave, in a continued reply.
  std::string given_content_;
  // The text emitted so far, what the client gave included.
  std::string reasoning_;
  std::string content_;
  std::vector<SentCall> calls_;
};
