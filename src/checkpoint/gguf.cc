// GGUF, versions 2 and 3, little-endian (ggml's docs/gguf.md): magic, version, counts, key/values, tensor
// infos, padding, data. Every count is checked against the remaining bytes before anything is allocated for
// it.
#include <cassert>
#include <cstring>
#include <unordered_set>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/gguf_types.h"
#include "checkpoint/layout.h"

namespace longspan {

namespace {

DType tensor_type(uint32_t number, std::string_view tensor, const std::string& file) {
  std::string known = "unknown to longspan", supported;
  for (const GgufType& row : kGgufTypes) {
    if (row.number == number && row.supported) return *dtype_from_name(row.name);
    if (row.number == number) known = row.name;
    if (row.supported) supported += std::string(supported.empty() ? "" : ", ") + row.name;
  }
  fail("{}: tensor {} has type number {} ({}); supported are {}", file, in_quotes(tensor), number, known,
       supported);
}

using Value = GgufValue;
/// The fewest bytes that one value takes in the file.
constexpr uint64_t kValueBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

// No writer produces longer names; the specification allows 64 (tensors) and 65,535 (keys).
constexpr uint64_t kLongestName = 1024;
// A Json value takes up to 64 bytes where the file may spend one; the largest vocabularies have 4 arrays of
// 0.3 million.
constexpr uint64_t kMostArrayElements = uint64_t{1} << 24;

/// The bytes of the file and how far we have read them.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return bytes_.size() - at_; }

  template <typename T>
  T number(const std::string& what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::string_view text(const std::string& what) {
    auto length = number<uint64_t>(what);
    need(length, what);
    std::string_view s(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return s;
  }

  std::string name(const std::string& what) {
    std::string_view s = text(what);
    if (s.empty() || s.size() > kLongestName)
      fail("{}: {} has {} bytes, 1 to {} were expected", file_, what, s.size(), kLongestName);
    return std::string(s);
  }

  /// A count of items that take at least `each` of the remaining bytes.
  uint64_t count(uint64_t each, const std::string& what) {
    auto n = number<uint64_t>(what);
    if (n > left() / each)
      fail("{}: claims {} as {}, but the {} bytes left hold at most {}: it is damaged or truncated", file_, n,
           what, left(), left() / each);
    return n;
  }

 private:
  void need(uint64_t n, const std::string& what) {
    if (n > left())
      fail("{}: is truncated: {} at byte {} needs {} bytes, the file ends after {}; download it again", file_,
           what, at_, n, left());
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  uint64_t at_ = 0;
};

Json read_scalar(Reader& in, Value type, const std::string& what, const std::string& file) {
  switch (type) {
    case Value::U8:
      return in.number<uint8_t>(what);
    case Value::I8:
      return in.number<int8_t>(what);
    case Value::U16:
      return in.number<uint16_t>(what);
    case Value::I16:
      return in.number<int16_t>(what);
    case Value::U32:
      return in.number<uint32_t>(what);
    case Value::I32:
      return in.number<int32_t>(what);
    case Value::U64:
      return in.number<uint64_t>(what);
    case Value::I64:
      return in.number<int64_t>(what);
    case Value::F32:
      return static_cast<double>(in.number<float>(what));
    case Value::F64:
      return in.number<double>(what);
    case Value::String:
      return std::string(in.text(what));
    case Value::Bool: {
      auto b = in.number<uint8_t>(what);
      if (b > 1) fail("{}: {} is a truth value of {}, 0 or 1 was expected", file, what, b);
      return b == 1;
    }
    case Value::Array:
      break;
  }
  assert(false);
  return {};
}

Value read_value_type(Reader& in, const std::string& what, const std::string& file) {
  auto type = in.number<uint32_t>(what);
  if (type >= std::size(kValueBytes))
    fail("{}: {} has value type {}, 0 to 12 were expected", file, what, type);
  return static_cast<Value>(type);
}

Json read_value(Reader& in, const std::string& what, uint64_t& elements_allowed, const std::string& file) {
  Value type = read_value_type(in, what, file);
  if (type != Value::Array) return read_scalar(in, type, what, file);
  Value element = read_value_type(in, what, file);
  if (element == Value::Array) fail("{}: {} is an array of arrays, which is not supported", file, what);
  uint64_t n = in.count(kValueBytes[static_cast<int>(element)], "the length of " + what);
  if (n > elements_allowed)
    fail("{}: {} has {} elements, more metadata than any vocabulary needs", file, what, n);
  elements_allowed -= n;
  Json::array_t array;
  array.reserve(n);
  for (uint64_t i = 0; i < n; ++i) array.push_back(read_scalar(in, element, what, file));
  return array;
}

Json read_metadata(Reader& in, uint64_t count, const std::string& file) {
  Json metadata = Json::object();
  auto& object = metadata.get_ref<Json::object_t&>();
  std::unordered_set<std::string> keys;
  uint64_t elements_allowed = kMostArrayElements;
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = in.name("a metadata key");
    if (!keys.insert(key).second) fail("{}: the metadata key {} stands twice", file, in_quotes(key));
    Json value = read_value(in, "the metadata value " + in_quotes(key), elements_allowed, file);
    // Inserting into the ordered object by key would compare it with all earlier keys; the set above is
    // faster.
    object.emplace_back(std::move(key), std::move(value));
  }
  return metadata;
}

AnnouncedTensor read_tensor_info(Reader& in, uint64_t alignment, const std::string& file) {
  std::string name = in.name("a tensor name"), what = "the description of tensor " + in_quotes(name);
  auto dims = in.number<uint32_t>(what);
  if (dims < 1 || dims > 4)
    fail("{}: tensor {} has {} dimensions, 1 to 4 were expected", file, in_quotes(name), dims);
  uint64_t sizes[4];
  for (uint32_t i = 0; i < dims; ++i)
    sizes[dims - 1 - i] = in.number<uint64_t>(what);  // the file has innermost first
  DType dtype = tensor_type(in.number<uint32_t>(what), name, file);
  AnnouncedTensor a = announce(std::move(name), dtype, {sizes, dims}, file);
  a.begin = in.number<uint64_t>(what);
  if (a.begin % alignment != 0)
    fail("{}: tensor {} begins at offset {}, a multiple of the alignment {} was expected", file,
         in_quotes(a.name), a.begin, alignment);
  return a;
}

uint64_t unsigned_or(const Json& metadata, const char* key, uint64_t otherwise, const std::string& file) {
  auto it = metadata.find(key);
  if (it == metadata.end()) return otherwise;
  if (!it->is_number_unsigned()) fail("{}: the metadata value \"{}\" is not an unsigned number", file, key);
  return it->get<uint64_t>();
}

void check_start(Reader& in, std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.empty()) fail("{}: is empty", file);
  refuse_lfs_pointer(bytes, file);
  if (bytes.size() < 4 || std::memcmp(bytes.data(), "GGUF", 4) != 0)
    fail(
        "{}: is not a GGUF file (those start with the letters GGUF); a model is such a file or a Hugging "
        "Face directory",
        file);
  in.number<uint32_t>("the magic");
  auto version = in.number<uint32_t>("the version");
  if (version == 1) fail("{}: is GGUF version 1; convert it to version 3 with llama.cpp", file);
  if (version != 0 && (version & 0xffff) == 0)
    fail("{}: is a big-endian GGUF file; only little-endian ones are read", file);
  if (version != 2 && version != 3) fail("{}: is GGUF version {}; versions 2 and 3 are read", file, version);
}

}  // namespace

ParsedTensors parse_gguf(std::span<const std::byte> bytes, const std::string& file) {
  Reader in(bytes, file);
  check_start(in, bytes, file);
  auto tensors = in.count(8 + 1 + 4 + 8 + 4 + 8, "the number of tensors");
  auto keys = in.count(8 + 1 + 4 + 1, "the number of metadata values");
  ParsedTensors parsed;
  parsed.metadata = read_metadata(in, keys, file);

  uint64_t alignment = unsigned_or(parsed.metadata, "general.alignment", 32, file);
  if (alignment < 8 || alignment > (1u << 30) || (alignment & (alignment - 1)) != 0)
    fail("{}: general.alignment is {}, a power of two from 8 on was expected", file, alignment);

  std::vector<AnnouncedTensor> announced;
  for (uint64_t i = 0; i < tensors; ++i) announced.push_back(read_tensor_info(in, alignment, file));
  parsed.tensors = place(std::move(announced), bytes, (in.at() + alignment - 1) & ~(alignment - 1), file);
  return parsed;
}

}  // namespace longspan
