#include "checkpoint/write_gguf.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/gguf_types.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kAlignment = 32;

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<uint64_t>(text.size()));
  out += text;
}

/// Bytes of a character map and types of tokens have types of their own.
GgufValue type_of_array(const std::string& key, const Json& values) {
  if (key == "tokenizer.ggml.precompiled_charsmap") return GgufValue::U8;
  if (values.empty() || values[0].is_string()) return GgufValue::String;
  if (values[0].is_boolean()) return GgufValue::Bool;
  bool whole = std::all_of(values.begin(), values.end(), [](const Json& v) { return v.is_number_integer(); });
  return whole ? GgufValue::I32 : GgufValue::F32;
}

GgufValue type_of(const std::string& key, const Json& value) {
  if (value.is_string()) return GgufValue::String;
  if (value.is_boolean()) return GgufValue::Bool;
  if (value.is_number_float()) return GgufValue::F32;
  if (value.is_array()) return GgufValue::Array;
  if (!value.is_number_integer()) fail("the metadata value {} has no type in GGUF", in_quotes(key));
  if (!value.is_number_unsigned() && value.get<int64_t>() < 0)
    return value.get<int64_t>() >= std::numeric_limits<int32_t>::min() ? GgufValue::I32 : GgufValue::I64;
  return value.get<uint64_t>() <= std::numeric_limits<uint32_t>::max() ? GgufValue::U32 : GgufValue::U64;
}

void put_scalar(std::string& out, GgufValue type, const std::string& key, const Json& value) {
  bool text = type == GgufValue::String, truth = type == GgufValue::Bool;
  if (text != value.is_string() || truth != value.is_boolean())
    fail("the metadata value {} mixes types", in_quotes(key));
  switch (type) {
    case GgufValue::U8:
      return put(out, static_cast<uint8_t>(value.get<int64_t>()));
    case GgufValue::U32:
      return put(out, value.get<uint32_t>());
    case GgufValue::I32:
      return put(out, value.get<int32_t>());
    case GgufValue::U64:
      return put(out, value.get<uint64_t>());
    case GgufValue::I64:
      return put(out, value.get<int64_t>());
    case GgufValue::F32:
      return put(out, value.get<float>());
    case GgufValue::F64:
      return put(out, value.get<double>());
    case GgufValue::Bool:
      return put(out, static_cast<uint8_t>(value.get<bool>()));
    case GgufValue::String:
      return put_text(out, value.get_ref<const std::string&>());
    default:
      assert(false);
  }
}

void put_value(std::string& out, const std::string& key, const Json& value) {
  GgufValue type = type_of(key, value);
  put_text(out, key);
  put(out, type);
  if (type != GgufValue::Array) return put_scalar(out, type, key, value);
  GgufValue element = type_of_array(key, value);
  put(out, element);
  put(out, static_cast<uint64_t>(value.size()));
  for (const Json& item : value) put_scalar(out, element, key, item);
}

uint32_t number_of(DType dtype) {
  for (const GgufType& row : kGgufTypes)
    if (row.supported && dtype_from_name(row.name) == dtype) return row.number;
  assert(false);
  return 0;
}

uint64_t aligned(uint64_t at, uint64_t alignment) { return (at + alignment - 1) / alignment * alignment; }

std::string header(const Json& metadata, std::span<const TensorSource> tensors, uint64_t alignment) {
  std::string out = "GGUF";
  put(out, uint32_t{3});
  put(out, static_cast<uint64_t>(tensors.size()));
  auto keys = std::count_if(metadata.begin(), metadata.end(), [](const Json& v) { return !v.is_null(); });
  put(out, static_cast<uint64_t>(keys));
  for (const auto& [key, value] : metadata.items())
    if (!value.is_null()) put_value(out, key, value);
  uint64_t at = 0;
  for (const TensorSource& t : tensors) {
    put_text(out, t.name);
    put(out, static_cast<uint32_t>(t.sizes.size()));
    for (auto size = t.sizes.rbegin(); size != t.sizes.rend(); ++size) put(out, static_cast<uint64_t>(*size));
    put(out, number_of(t.dtype));
    put(out, at);
    at = aligned(at + static_cast<uint64_t>(t.bytes()), alignment);
  }
  out.resize(aligned(out.size(), alignment));
  return out;
}

}  // namespace

void write_gguf(const fs::path& path, const Json& metadata, std::span<const TensorSource> tensors,
                const Progress& progress) {
  auto given = metadata.find("general.alignment");
  uint64_t alignment = given == metadata.end() ? kAlignment : given->get<uint64_t>();
  WriteProgress counter{progress, 0, total_bytes(tensors)};
  std::string start = header(metadata, tensors, alignment);
  write_whole(path, [&](std::ofstream& out) {
    out << start;
    for (const TensorSource& t : tensors) {
      write_rows(out, t, path, counter);
      auto bytes = static_cast<uint64_t>(t.bytes());
      out << std::string(aligned(bytes, alignment) - bytes, '\0');
    }
  });
}

}  // namespace longspan
