// Failures that travel to JavaScript, under the names of src/errors.ts.
#pragma once

#include <string>

enum class ErrorCode {
  // The sampling parameters were refused.
  kBadRequest,
  // This sequence could not go on; the others do.
  kSequenceFailed,
  // The engine failed; all its sequences are lost.
  kEngineFailed,
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
