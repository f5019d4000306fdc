// safetensors (huggingface.co/docs/safetensors): 8 bytes of header length, a JSON header {name: {dtype,
// shape, data_offsets}}, data. Tensors that are not float weights of 1 to 4 dimensions (position ids, masks,
// F8, F64) are skipped; the reason is recorded and becomes an Error only when a model requires the tensor.
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/layout.h"

namespace longspan {

namespace {

constexpr uint64_t kLongestHeader = 100'000'000;  // the limit of the format's own library

std::string_view read_header(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.empty()) fail("{}: is empty", file);
  refuse_lfs_pointer(bytes, file);
  if (bytes.size() < 8)
    fail("{}: has {} bytes, too few for a safetensors file; download it again", file, bytes.size());
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  if (length > kLongestHeader)
    fail("{}: is not a safetensors file (its header would have {} bytes, the limit is {})", file, length,
         kLongestHeader);
  if (length > bytes.size() - 8)
    fail("{}: is truncated: its header ends at byte {}, the file has {} bytes; download it again", file,
         8 + length, bytes.size());
  return {reinterpret_cast<const char*>(bytes.data()) + 8, length};
}

/// The list of unsigned numbers `key` of a header entry.
std::vector<uint64_t> numbers(const Json& entry, const char* key, const std::string& tensor,
                              const std::string& file) {
  std::vector<uint64_t> list;
  auto it = entry.find(key);
  bool good = it != entry.end() && it->is_array();
  for (size_t i = 0; good && i < it->size(); ++i) {
    good = (*it)[i].is_number_unsigned();
    if (good) list.push_back((*it)[i].get<uint64_t>());
  }
  if (!good)
    fail("{}: tensor {} has no list of whole numbers as \"{}\" in the header", file, in_quotes(tensor), key);
  return list;
}

/// Why a tensor cannot be a weight, or nothing.
std::string reason_to_skip(const std::string& type, const std::vector<uint64_t>& shape) {
  if (type != "F32" && type != "F16" && type != "BF16") return "type " + in_quotes(type);
  if (shape.size() > 4) return fmt::format("{} dimensions", shape.size());
  for (uint64_t n : shape)
    if (n == 0) return "no elements";
  return "";
}

void read_entry(const std::string& name, const Json& entry, uint64_t data_start,
                std::vector<AnnouncedTensor>& announced, ParsedTensors& parsed, const std::string& file) {
  if (!entry.is_object())
    fail("{}: tensor {} is described by something else than an object", file, in_quotes(name));
  auto type = entry.find("dtype");
  if (type == entry.end() || !type->is_string())
    fail("{}: tensor {} has no \"dtype\"", file, in_quotes(name));
  auto dtype = type->get<std::string>();
  std::vector<uint64_t> shape = numbers(entry, "shape", name, file);
  std::vector<uint64_t> offsets = numbers(entry, "data_offsets", name, file);
  if (std::string reason = reason_to_skip(dtype, shape); !reason.empty()) {
    parsed.skipped.emplace(name, reason);  // never read, so its offsets need no check
    return;
  }
  if (shape.empty()) shape.push_back(1);  // a scalar
  AnnouncedTensor a = announce(name, *dtype_from_name(dtype), shape, file);
  if (offsets.size() != 2 || offsets[1] < offsets[0] || offsets[1] - offsets[0] != a.bytes)
    fail("{}: tensor {} needs {} bytes by its shape and type, its data_offsets say otherwise", file,
         in_quotes(name), a.bytes);
  a.begin = offsets[0];
  uint64_t element = static_cast<uint64_t>(dtype_info(a.tensor.dtype).block_bytes);
  if ((data_start + a.begin) % element != 0)
    fail(
        "{}: tensor {} does not begin at a multiple of its {} bytes an element; save the file again with "
        "safetensors 0.3 "
        "or newer",
        file, in_quotes(name), element);
  announced.push_back(std::move(a));
}

}  // namespace

ParsedTensors parse_safetensors(std::span<const std::byte> bytes, const std::string& file) {
  std::string_view header = read_header(bytes, file);
  Json entries = parse_json(header, file + " (header)");
  if (!entries.is_object()) fail("{}: is not a safetensors file (its header is no JSON object)", file);
  uint64_t data_start = 8 + header.size();
  ParsedTensors parsed;
  std::vector<AnnouncedTensor> announced;
  for (auto& [name, entry] : entries.items()) {
    if (name == "__metadata__") {
      parsed.metadata = std::move(entry);
    } else {
      read_entry(name, entry, data_start, announced, parsed, file);
    }
  }
  parsed.tensors = place(std::move(announced), bytes, data_start, file);
  return parsed;
}

}  // namespace longspan
