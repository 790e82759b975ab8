// Runs a function on a thread with a stack of the size it needs.
#pragma once

#include <cstddef>
#include <functional>

// Calls `function` on a thread of its own with `n_bytes` of stack, waits for it, and rethrows its
// exception. The stack is reserved, and takes memory only as far as it is used. Throws
// std::runtime_error when it cannot be reserved.
void RunWithStack(size_t n_bytes, const std::function<void()>& function);
