#include "core/big_stack.h"

#include <pthread.h>

#include <exception>
#include <stdexcept>

namespace {

struct Call {
  const std::function<void()>& function;
  std::exception_ptr error;
};

void* Run(void* argument) noexcept {
  auto* call = static_cast<Call*>(argument);
  try {
    call->function();
  } catch (...) {
    call->error = std::current_exception();
  }
  return nullptr;
}

}  // namespace

void RunWithStack(size_t n_bytes, const std::function<void()>& function) {
  Call call{function, nullptr};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t thread;
  const bool started = pthread_attr_setstacksize(&attributes, n_bytes) == 0 &&
                       pthread_create(&thread, &attributes, &Run, &call) == 0;
  pthread_attr_destroy(&attributes);
  if (!started) throw std::runtime_error("there is not enough memory to tokenize this text");
  pthread_join(thread, nullptr);
  if (call.error) std::rethrow_exception(call.error);
}
