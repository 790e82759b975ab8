#include "node/option_reader.h"

// Declares the class whose `model` is borrowed; comes with node-llama-cpp.
#include <AddonModel.h>

#include <stdexcept>

namespace {

void Require(bool is_of_type, const Napi::Value& value, const char* name, const char* type) {
  if (is_of_type) return;
  throw Napi::TypeError::New(value.Env(), std::string(name) + " must be " + type);
}

Napi::Number NumberFrom(const Napi::Value& value, const char* name) {
  Require(value.IsNumber(), value, name, "a number");
  return value.As<Napi::Number>();
}

std::string StringFrom(const Napi::Value& value, const char* name) {
  Require(value.IsString(), value, name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Array ArrayFrom(const Napi::Value& value, const char* name) {
  Require(value.IsArray(), value, name, "an array");
  return value.As<Napi::Array>();
}

Napi::Object ObjectFrom(const Napi::Value& value, const char* name) {
  Require(value.IsObject(), value, name, "an object");
  return value.As<Napi::Object>();
}

}  // namespace

void Read(const Napi::Value& value, const char* name, float* field) {
  *field = NumberFrom(value, name).FloatValue();
}

void Read(const Napi::Value& value, const char* name, double* field) {
  *field = NumberFrom(value, name).DoubleValue();
}

void Read(const Napi::Value& value, const char* name, int32_t* field) {
  *field = NumberFrom(value, name).Int32Value();
}

void Read(const Napi::Value& value, const char* name, uint32_t* field) {
  *field = NumberFrom(value, name).Uint32Value();
}

void Read(const Napi::Value& value, const char* name, bool* field) {
  Require(value.IsBoolean(), value, name, "a boolean");
  *field = value.As<Napi::Boolean>().Value();
}

void Read(const Napi::Value& value, const char* name, std::string* field) {
  *field = StringFrom(value, name);
}

void Read(const Napi::Value& value, const char* name, std::vector<std::string>* field) {
  *field = StringsFrom(ArrayFrom(value, name));
}

// Processors.
void Read(const Napi::Value& value, const char* name, std::vector<int32_t>* field) {
  const Napi::Array numbers = ArrayFrom(value, name);
  for (uint32_t i = 0; i < numbers.Length(); ++i) {
    const int32_t processor = NumberFrom(numbers.Get(i), name).Int32Value();
    if (processor < 0 || processor >= GGML_MAX_N_THREADS) {
      throw std::invalid_argument("there is no processor " + std::to_string(processor));
    }
    field->push_back(processor);
  }
}

void Read(const Napi::Value& value, const char* name, ggml_type* field) {
  const std::string type = StringFrom(value, name);
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    const char* type_name = ggml_type_name(static_cast<ggml_type>(i));
    if (type_name == nullptr || type != type_name) continue;
    *field = static_cast<ggml_type>(i);
    return;
  }
  throw std::invalid_argument("unknown cache type " + type);
}

void Read(const Napi::Value& value, const char* name, llama_flash_attn_type* field) {
  const std::string setting = StringFrom(value, name);
  *field = setting == "on"    ? LLAMA_FLASH_ATTN_TYPE_ENABLED
           : setting == "off" ? LLAMA_FLASH_ATTN_TYPE_DISABLED
                              : LLAMA_FLASH_ATTN_TYPE_AUTO;
}

// `auto` is split: Context shares one cache all the same where a slot lacks room for a sequence.
void Read(const Napi::Value& value, const char* name, KvLayout* field) {
  *field = StringFrom(value, name) == "unified" ? KvLayout::kUnified : KvLayout::kSplit;
}

void Read(const Napi::Value& value, const char* name, SwaFull* field) {
  const std::string setting = StringFrom(value, name);
  *field = setting == "on" ? SwaFull::kOn : setting == "off" ? SwaFull::kOff : SwaFull::kAuto;
}

void Read(const Napi::Value& value, const char* name, Pooling* field) {
  const std::string pooling = StringFrom(value, name);
  if (pooling == "mean") {
    *field = Pooling::kMean;
  } else if (pooling == "cls") {
    *field = Pooling::kCls;
  } else if (pooling == "last") {
    *field = Pooling::kLast;
  } else if (pooling == "rank") {
    *field = Pooling::kRank;
  } else {
    throw std::invalid_argument("unknown pooling " + pooling);
  }
}

void Read(const Napi::Value& value, const char* name, DraftKind* field) {
  *field = StringFrom(value, name) == "draft" ? DraftKind::kModel : DraftKind::kNgram;
}

void Read(const Napi::Value& value, const char* name, llama_model** field) {
  *field = BorrowModel(ObjectFrom(value, name));
}

void Read(const Napi::Value& value, const char* name, DraftOptions* field) {
  field->VisitOptions(OptionReader(ObjectFrom(value, name)));
}

std::vector<std::string> StringsFrom(const Napi::Array& strings) {
  std::vector<std::string> result;
  result.reserve(strings.Length());
  for (uint32_t i = 0; i < strings.Length(); ++i) {
    result.push_back(strings.Get(i).As<Napi::String>().Utf8Value());
  }
  return result;
}

llama_model* BorrowModel(const Napi::Object& addon_model) {
  llama_model* model = Napi::ObjectWrap<AddonModel>::Unwrap(addon_model)->model;
  if (model == nullptr) throw std::invalid_argument("the model is not loaded, or was disposed");
  return model;
}
