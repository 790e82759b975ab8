// Failures that travel to JavaScript, under the names of src/errors.ts.
#pragma once

#include <string>

enum class ErrorCode {
  // The chat template refused the messages, or the text could not be tokenized.
  kBadRequest,
  // The engine broke; every sequence it held is lost.
  kEngineFailed,
};

inline const char* ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadRequest:
      return "bad_request";
    case ErrorCode::kEngineFailed:
      return "engine_failed";
  }
  return "internal_error";
}
