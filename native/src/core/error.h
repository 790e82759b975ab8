// Failures that travel to JavaScript, under the names of src/errors.ts.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

enum class ErrorCode {
  // What the request asks for is not possible.
  kBadRequest,
  // This sequence could not go on; the others do.
  kSequenceFailed,
  // The engine failed; all its sequences are lost.
  kEngineFailed,
};

// A request that cannot be honoured, in one sentence for its client.
class RequestRefusal : public std::invalid_argument {
 public:
  // `param` names the field of the request's body.
  RequestRefusal(std::string param, const std::string& sentence)
      : std::invalid_argument(sentence), param_(std::move(param)) {}

  const std::string& param() const { return param_; }

 private:
  std::string param_;
};

// The format and the other rules of a request exclude every token that may follow.
class NoTokenLeft : public std::runtime_error {
 public:
  NoTokenLeft()
      : std::runtime_error(
            "The completion cannot be continued: its format, `logit_bias` and other fields about "
            "tokens exclude every token that may follow.") {}
};

inline const char* ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadRequest:
      return "bad_request";
    case ErrorCode::kSequenceFailed:
      return "sequence_failed";
    case ErrorCode::kEngineFailed:
      return "engine_failed";
  }
  return "internal_error";
}
