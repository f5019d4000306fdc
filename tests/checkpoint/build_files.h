// Builders of small model files for tests of any room: bytes of a GGUF or safetensors file, valid unless
// asked otherwise, and a directory that is deleted at the end.
//
//   GgufBuilder gguf;
//   gguf.value("general.architecture", "llama").value("llama.block_count", uint32_t{2});
//   gguf.tensor("token_embd.weight", DType::F32, {8, 4}, floats_as_bytes(values));   // sizes outermost first
//   write_file_atomic(dir.path / "model.gguf", gguf.bytes());
//
//   SafetensorsBuilder st;
//   st.tensor("model.norm.weight", "F32", {4}, floats_as_bytes(values));
//   write_file_atomic(dir.path / "model.safetensors", st.bytes());
#pragma once

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tensor/dtype.h"

namespace longspan {

/// The bytes of a plain value as they lie in memory (little-endian).
template <typename T>
std::string raw(T value) {
  std::string s(sizeof(T), '\0');
  std::memcpy(s.data(), &value, sizeof(T));
  return s;
}

inline std::string floats_as_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), 4 * values.size()};
}

/// One tensor of a GGUF file; every field can be made to lie after GgufBuilder::tensor.
struct GgufTensor {
  std::string name;
  std::vector<uint64_t> sizes;  // as in the file: innermost first
  uint32_t type = 0;
  uint64_t offset = 0;
  std::string data;
};

class GgufBuilder {
 public:
  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t alignment = 32;  // written as general.alignment by the caller if it is not 32
  std::optional<uint64_t> tensor_count, value_count;  // instead of the true ones
  std::vector<GgufTensor> tensors;

  GgufBuilder& value(std::string_view key, std::string_view text) { return raw_value(key, 8, string(text)); }
  GgufBuilder& value(std::string_view key, const char* text) { return value(key, std::string_view(text)); }
  GgufBuilder& value(std::string_view key, uint32_t n) { return raw_value(key, 4, raw(n)); }
  GgufBuilder& value(std::string_view key, float x) { return raw_value(key, 6, raw(x)); }
  GgufBuilder& value(std::string_view key, bool b) { return raw_value(key, 7, raw<uint8_t>(b)); }
  GgufBuilder& value(std::string_view key, const std::vector<std::string>& texts) {
    std::string all;
    for (const auto& t : texts) all += string(t);
    return raw_value(key, 9, raw<uint32_t>(8) + raw<uint64_t>(texts.size()) + all);
  }
  GgufBuilder& value(std::string_view key, const std::vector<float>& xs) {
    return raw_value(key, 9, raw<uint32_t>(6) + raw<uint64_t>(xs.size()) + floats_as_bytes(xs));
  }
  GgufBuilder& value(std::string_view key, const std::vector<int32_t>& xs) {
    std::string all;
    for (int32_t x : xs) all += raw(x);
    return raw_value(key, 9, raw<uint32_t>(5) + raw<uint64_t>(xs.size()) + all);
  }
  /// Any value type number with any bytes.
  GgufBuilder& raw_value(std::string_view key, uint32_t type, const std::string& bytes) {
    values_.push_back(string(key) + raw(type) + bytes);
    return *this;
  }

  /// `sizes` outermost first; `data` must have the right number of bytes for a valid file.
  GgufBuilder& tensor(std::string name, DType dtype, std::vector<uint64_t> sizes, std::string data) {
    uint64_t offset = 0;
    for (const GgufTensor& t : tensors) offset = padded(t.offset + t.data.size());
    tensors.push_back(
        {std::move(name), {sizes.rbegin(), sizes.rend()}, type_number(dtype), offset, std::move(data)});
    return *this;
  }

  std::string bytes() const {
    std::string out = magic + raw(version) + raw<uint64_t>(tensor_count.value_or(tensors.size())) +
                      raw<uint64_t>(value_count.value_or(values_.size()));
    for (const auto& v : values_) out += v;
    for (const GgufTensor& t : tensors) {
      out += string(t.name) + raw(static_cast<uint32_t>(t.sizes.size()));
      for (uint64_t n : t.sizes) out += raw(n);
      out += raw(t.type) + raw(t.offset);
    }
    out.resize(padded(out.size()));
    size_t start = out.size();
    uint64_t end = 0;  // data is laid down in the order of the builder, whatever the offsets claim
    for (const GgufTensor& t : tensors) {
      out.resize(start + padded(end));
      out += t.data;
      end = out.size() - start;
    }
    return out;
  }

  static std::string string(std::string_view text) { return raw<uint64_t>(text.size()) + std::string(text); }
  static uint32_t type_number(DType dtype) {
    static const std::map<DType, uint32_t> numbers = {
        {DType::F32, 0},   {DType::F16, 1},   {DType::Q4_0, 2}, {DType::Q4_1, 3},
        {DType::Q5_0, 6},  {DType::Q5_1, 7},  {DType::Q8_0, 8}, {DType::Q4_K, 12},
        {DType::Q5_K, 13}, {DType::Q6_K, 14}, {DType::I32, 26}, {DType::BF16, 30}};
    return numbers.at(dtype);
  }

 private:
  uint64_t padded(uint64_t n) const { return (n + alignment - 1) / alignment * alignment; }
  std::vector<std::string> values_;
};

class SafetensorsBuilder {
 public:
  Json header = Json::object();  // may be edited before bytes()

  SafetensorsBuilder& tensor(const std::string& name, const std::string& dtype,
                             const std::vector<uint64_t>& shape, const std::string& data) {
    header[name] = {
        {"dtype", dtype}, {"shape", shape}, {"data_offsets", {data_.size(), data_.size() + data.size()}}};
    data_ += data;
    return *this;
  }
  std::string bytes() const {
    std::string text = dump_json(header);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return with_header(text);
  }
  /// The data behind any header text.
  std::string with_header(const std::string& text) const { return raw<uint64_t>(text.size()) + text + data_; }

 private:
  std::string data_;
};

/// A fresh directory, removed with all it holds.
struct TemporaryDirectory {
  std::filesystem::path path;
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "longspan-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
};

}  // namespace longspan
