// The request of a completion, from JavaScript. TypeScript has validated the values: a wrong type
// here is a defect of the program and throws a TypeError that names the property.
#pragma once

#include <napi.h>

#include <memory>

#include "engine/messages.h"

// `NativeRequest` of addon.ts. Its sampling parameters follow the constraints of `prompt`.
Submit SubmitFrom(RequestId id, std::shared_ptr<const Prompt> prompt, const Napi::Object& request);
