// pytorch_model.bin: a dictionary of tensors as torch.save has written it since torch 1.6. A ZIP archive
// holds NAME/data.pkl, a pickle with storage, offset, sizes and strides of each tensor, and NAME/data/0, 1,
// ..., the bytes of the storages, of which tensors are views. No code of the file is run: see pickle.h.
#include <cstring>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/layout.h"
#include "checkpoint/pickle.h"
#include "checkpoint/zip.h"

namespace longspan {

namespace {

constexpr std::string_view kTensor = "torch._utils._rebuild_tensor_v2",
                           kParameter = "torch._utils._rebuild_parameter";

constexpr std::string_view kAllowed[] = {"collections.OrderedDict",
                                         kTensor,
                                         kParameter,
                                         "torch.FloatStorage",
                                         "torch.HalfStorage",
                                         "torch.BFloat16Storage",
                                         "torch.DoubleStorage",
                                         "torch.LongStorage",
                                         "torch.IntStorage",
                                         "torch.ShortStorage",
                                         "torch.CharStorage",
                                         "torch.ByteStorage",
                                         "torch.BoolStorage"};

std::optional<DType> storage_dtype(std::string_view name) {
  if (name == "torch.FloatStorage") return DType::F32;
  if (name == "torch.HalfStorage") return DType::F16;
  if (name == "torch.BFloat16Storage") return DType::BF16;
  return std::nullopt;
}

struct Reader {
  std::span<const std::byte> bytes;
  const std::string& file;
  ZipEntries entries;
  std::string root;  // "archive/"
  Pickle pickle;
  ParsedTensors parsed;

  using Kind = PickleValue::Kind;

  const PickleValue& value(uint32_t index) const { return pickle.values[index]; }
  /// Item `i` of a value if it is of that kind; otherwise the Error for a malformed description of the
  /// tensor.
  const PickleValue& item(const PickleValue& of, size_t i, Kind kind, const std::string& tensor) const {
    if (i >= of.items.size() || value(of.items[i]).kind != kind)
      fail("{}: tensor {} is not described as torch.save does it", file, in_quotes(tensor));
    return value(of.items[i]);
  }

  std::vector<uint64_t> counts(const PickleValue& tuple, const std::string& tensor) const {
    std::vector<uint64_t> out;
    for (size_t i = 0; i < tuple.items.size(); ++i) {
      int64_t n = item(tuple, i, Kind::Number, tensor).number;
      if (n < 0) fail("{}: tensor {} has a negative size or stride", file, in_quotes(tensor));
      out.push_back(static_cast<uint64_t>(n));
    }
    return out;
  }

  void read_tensor(const std::string& name, const PickleValue& v);
  void read_arguments(const std::string& name, const PickleValue& arguments);
  void locate(AnnouncedTensor announced, const PickleValue& storage, uint64_t offset);
};

/// Whether elements follow each other in row-major order. The stride of a dimension of size 1 is never used.
bool row_major(const std::vector<uint64_t>& sizes, const std::vector<uint64_t>& strides) {
  if (sizes.size() != strides.size()) return false;
  uint64_t expected = 1;
  for (size_t i = sizes.size(); i-- > 0; expected *= sizes[i])
    if (sizes[i] != 1 && strides[i] != expected) return false;
  return true;
}

/// A view of the storage's entry from element `offset` on.
void Reader::locate(AnnouncedTensor a, const PickleValue& storage, uint64_t offset) {
  std::string key = root + "data/" + std::string(item(storage, 2, Kind::Text, a.name).text);
  auto entry = entries.find(key);
  if (entry == entries.end())
    fail("{}: tensor {} lies in {}, which the archive lacks", file, in_quotes(a.name), in_quotes(key));
  std::span<const std::byte> data = entry->second;
  auto element = static_cast<uint64_t>(dtype_info(a.tensor.dtype).block_bytes);
  if (offset > data.size() / element || a.bytes > data.size() - offset * element)
    fail("{}: tensor {} needs {} bytes from element {} of {} on, which has {} bytes", file, in_quotes(a.name),
         a.bytes, offset, in_quotes(key), data.size());
  const std::byte* at = data.data() + offset * element;
  if (static_cast<uint64_t>(at - bytes.data()) % element != 0)
    fail("{}: tensor {} does not begin at a multiple of its {} bytes an element; save the file again", file,
         in_quotes(a.name), element);
  // Tensor::data is not const because activations share the type; the mapping itself stays read-only.
  a.tensor.data = const_cast<std::byte*>(at);
  parsed.tensors.push_back({std::move(a.name), a.tensor});
}

/// (storage, offset, sizes, strides, requires_grad, hooks)
void Reader::read_arguments(const std::string& name, const PickleValue& arguments) {
  // ("storage", its class, its key, the device it lay on, its elements)
  const PickleValue& storage = item(item(arguments, 0, Kind::Persistent, name), 0, Kind::Tuple, name);
  std::string_view type = item(storage, 1, Kind::Global, name).text;
  int64_t offset = item(arguments, 1, Kind::Number, name).number;
  std::vector<uint64_t> sizes = counts(item(arguments, 2, Kind::Tuple, name), name),
                        strides = counts(item(arguments, 3, Kind::Tuple, name), name);
  if (offset < 0) fail("{}: tensor {} begins before its storage", file, in_quotes(name));

  std::string reason;
  std::optional<DType> dtype = storage_dtype(type);
  if (!dtype) reason = "type \"" + std::string(type) + "\"";
  if (sizes.size() > 4) reason = fmt::format("{} dimensions", sizes.size());
  for (uint64_t n : sizes)
    if (n == 0) reason = "no elements";
  if (!reason.empty()) {
    parsed.skipped.emplace(name, reason);
    return;
  }
  AnnouncedTensor a = announce(name, *dtype, sizes.empty() ? std::vector<uint64_t>{1} : sizes, file);
  if (!row_major(sizes, strides)) {
    parsed.skipped.emplace(name, "rows that do not lie one after the other (save it with .contiguous())");
    return;
  }
  locate(std::move(a), storage, static_cast<uint64_t>(offset));
}

void Reader::read_tensor(const std::string& name, const PickleValue& v) {
  const PickleValue* call = &v;
  // A parameter is a tensor and a flag (requires_grad).
  if (call->kind == Kind::Call && value(call->items[0]).text == kParameter)
    call = &item(value(call->items[1]), 0, Kind::Call, name);
  if (call->kind != Kind::Call || value(call->items[0]).text != kTensor) {
    parsed.skipped.emplace(name, "no tensor as its value");
    return;
  }
  read_arguments(name, value(call->items[1]));
}

void refuse_other_formats(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.empty()) fail("{}: is empty", file);
  refuse_lfs_pointer(bytes, file);
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\x80\x02\x8a\x0a"))
    fail("{}: was saved by torch before 1.6; load it and save it again with a newer torch, or as safetensors",
         file);
  if (!text.starts_with("PK")) fail("{}: is not a file of torch.save (those are ZIP archives)", file);
}

/// "archive/" where the archive holds archive/data.pkl.
std::string find_root(const ZipEntries& entries, const std::string& file) {
  constexpr std::string_view kPickle = "/data.pkl";
  for (const auto& [name, data] : entries)
    if (name.ends_with(kPickle) && name.find('/') == name.size() - kPickle.size())
      return std::string(name.substr(0, name.size() - kPickle.size() + 1));
  fail("{}: is a ZIP archive without data.pkl, so torch.save did not write it", file);
}

}  // namespace

ParsedTensors parse_torch_bin(std::span<const std::byte> bytes, const std::string& file) {
  refuse_other_formats(bytes, file);
  Reader r{bytes, file, read_zip(bytes, file), {}, {}, {}};
  r.root = find_root(r.entries, file);
  if (auto order = r.entries.find(r.root + "byteorder"); order != r.entries.end())
    if (order->second.size() != 6 || std::memcmp(order->second.data(), "little", 6) != 0)
      fail("{}: was written by a big-endian machine; only little-endian files are read", file);
  r.pickle = read_pickle(r.entries.at(r.root + "data.pkl"), kAllowed, file);

  const PickleValue& dictionary = r.value(r.pickle.root);
  if (dictionary.kind != PickleValue::Kind::Dict)
    fail("{}: holds something else than a dictionary of tensors", file);
  std::unordered_set<std::string> seen;
  for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
    const PickleValue& key = r.value(dictionary.items[i]);
    if (key.kind != PickleValue::Kind::Text) fail("{}: names a tensor by something else than a text", file);
    std::string name(key.text);
    if (!seen.insert(name).second) fail("{}: tensor {} stands twice in the file", file, in_quotes(name));
    r.read_tensor(name, r.value(dictionary.items[i + 1]));
  }
  return std::move(r.parsed);
}

}  // namespace longspan
