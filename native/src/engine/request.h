// What all requests to a native thread have in common: an id, cancelling, and an error that ends
// them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/error.h"

using Clock = std::chrono::steady_clock;

inline double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

inline double MillisecondsSince(Clock::time_point begin) {
  return Milliseconds(Clock::now() - begin);
}

// Chosen by the caller, unique for one thread.
using RequestId = uint64_t;

// A message. Ends a request; without effect if the request has ended already.
struct Cancel {
  RequestId id = 0;
};

// An event. The request has ended without a result.
struct RequestError {
  RequestId id = 0;
  ErrorCode code = ErrorCode::kEngineFailed;
  std::string message;
};
