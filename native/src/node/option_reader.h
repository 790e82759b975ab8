// Reads the properties of a JavaScript object into the fields of a struct. A wrong type throws a
// TypeError that names the property.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/embedder.h"
#include "engine/engine_options.h"

// Read(value, name, field) assigns a JavaScript value to a field, for each type that options have.
void Read(const Napi::Value& value, const char* name, float* field);
void Read(const Napi::Value& value, const char* name, double* field);
void Read(const Napi::Value& value, const char* name, int32_t* field);
void Read(const Napi::Value& value, const char* name, uint32_t* field);
void Read(const Napi::Value& value, const char* name, bool* field);
void Read(const Napi::Value& value, const char* name, std::string* field);
void Read(const Napi::Value& value, const char* name, std::vector<std::string>* field);
void Read(const Napi::Value& value, const char* name, std::vector<int32_t>* field);
void Read(const Napi::Value& value, const char* name, ggml_type* field);
void Read(const Napi::Value& value, const char* name, llama_flash_attn_type* field);
void Read(const Napi::Value& value, const char* name, KvLayout* field);
void Read(const Napi::Value& value, const char* name, SwaFull* field);
void Read(const Napi::Value& value, const char* name, Pooling* field);
void Read(const Napi::Value& value, const char* name, DraftKind* field);
void Read(const Napi::Value& value, const char* name, llama_model** field);
void Read(const Napi::Value& value, const char* name, DraftOptions* field);

// Assigns properties of an object to fields. An absent or undefined property leaves the field as it
// is, so that a struct's own defaults apply.
class OptionReader {
 public:
  explicit OptionReader(Napi::Object object) : object_(object) {}

  template <class Field>
  void operator()(const char* name, Field* field) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsUndefined()) Read(value, name, field);
  }

 private:
  const Napi::Object object_;
};

std::vector<std::string> StringsFrom(const Napi::Array& strings);

// The llama_model behind a node-llama-cpp `LlamaModel`'s `_model`, read by the memory layout of the
// pinned release. Throws std::exception when there is none any more.
llama_model* BorrowModel(const Napi::Object& addon_model);
