#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/layout.h"

namespace longspan {

namespace {

/// A whole number of the metadata; 0 when it is missing.
int64_t number_of(const Json& metadata, const char* key, const std::string& file) {
  auto found = metadata.find(key);
  if (found == metadata.end()) return 0;
  if (!found->is_number_integer() || found->get<int64_t>() < 0)
    fail("{}: the metadata value \"{}\" is no whole number", file, key);
  return found->get<int64_t>();
}

/// Part `number` (from 1) of a split model beside `path`, which is another one: NAME-00002-of-00003.gguf.
std::filesystem::path part_of(const std::filesystem::path& path, int64_t number, int64_t count) {
  std::string name = path.filename().string(), of = fmt::format("-of-{:05}.gguf", count);
  constexpr size_t kDigits = 6;  // "-00002"
  if (!name.ends_with(of) || name.size() < of.size() + kDigits)
    fail(
        "{}: is one of {} parts of a split model, whose names end in {}; give it that name again, or join "
        "the parts with llama-gguf-split --merge",
        path.string(), count, fmt::format("-00001{}", of));
  name.resize(name.size() - of.size() - kDigits);
  return path.parent_path() / fmt::format("{}-{:05}{}", name, number, of);
}

/// The other parts of a split model (llama.cpp's gguf-split). The first one holds the metadata.
void read_parts(Checkpoint& c, const std::filesystem::path& path, int64_t count) {
  constexpr int64_t kMostParts = 99'999;  // of five digits
  if (count > kMostParts) fail("{}: is one of {} parts, which no file name can count", path.string(), count);
  c.files.clear(), c.tensors.clear();
  for (int64_t number = 1; number <= count; ++number) {
    std::filesystem::path part = part_of(path, number, count);
    std::error_code ignored;
    if (!std::filesystem::exists(part, ignored))
      fail("{}: part {} of {} of the split model is missing; download it", part.string(), number, count);
    c.files.emplace_back(part);
    ParsedTensors parsed = parse_gguf(c.files.back().bytes(), part.string());
    int64_t own = number_of(parsed.metadata, "split.no", part.string()) + 1;
    if (number_of(parsed.metadata, "split.count", part.string()) != count || own != number)
      fail("{}: calls itself part {} of {}, but its name says {} of {}; download the parts again",
           part.string(), own, number_of(parsed.metadata, "split.count", part.string()), number, count);
    if (number == 1) c.metadata = std::move(parsed.metadata);
    for (NamedTensor& t : parsed.tensors) c.tensors.push_back(std::move(t));
  }
  int64_t announced = number_of(c.metadata, "split.tensors.count", path.string());
  if (announced > 0 && announced != std::ssize(c.tensors))
    fail("{}: the parts hold {} tensors, {} were announced; download them again", path.string(),
         c.tensors.size(), announced);
}

Checkpoint open_gguf(const std::filesystem::path& path) {
  Checkpoint c;
  c.format = CheckpointFormat::Gguf;
  if (path.extension() == ".safetensors")
    fail("{}: is one file of a Hugging Face model; give the directory that also holds config.json",
         path.string());
  c.files.emplace_back(path);
  ParsedTensors parsed = parse_gguf(c.files[0].bytes(), path.string());
  c.metadata = std::move(parsed.metadata);
  c.tensors = std::move(parsed.tensors);
  if (int64_t parts = number_of(c.metadata, "split.count", path.string()); parts > 1)
    read_parts(c, path, parts);
  return c;
}

bool is_finite_16(uint16_t bits, uint16_t exponent) { return (bits & exponent) != exponent; }

/// Values in a file may be unaligned: they are copied out, not read in place.
bool all_finite_16(const std::byte* values, int64_t n, uint16_t exponent) {
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, values + 2 * i, 2);
    finite &= is_finite_16(bits, exponent);
  }
  return finite;
}

bool all_finite_32(const std::byte* values, int64_t n) {
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + 4 * i, 4);
    finite &= (bits & 0x7f800000u) != 0x7f800000u;
  }
  return finite;
}

/// Where the F16 scales of a block lie; everything else in a block is integers, which are always finite.
std::vector<int> scale_offsets(DType dtype) {
  switch (dtype) {
    case DType::Q8_0:
    case DType::Q4_0:
    case DType::Q5_0:
      return {0};
    case DType::Q4_1:
    case DType::Q5_1:
    case DType::Q4_K:
    case DType::Q5_K:
      return {0, 2};
    case DType::Q6_K:
      return {208};
    default:
      return {};
  }
}

constexpr uint16_t kExponentF16 = 0x7c00, kExponentBF16 = 0x7f80;

bool all_finite_scales(const std::byte* blocks, int64_t n, DType dtype) {
  std::vector<int> offsets = scale_offsets(dtype);
  int64_t block_bytes = dtype_info(dtype).block_bytes;
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) {
    for (int at : offsets) {
      uint16_t scale;
      std::memcpy(&scale, blocks + i * block_bytes + at, 2);
      finite &= is_finite_16(scale, kExponentF16);
    }
  }
  return finite;
}

bool is_model_directory(const std::filesystem::path& path) {
  std::error_code error;
  auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status))
    fail("{}: does not exist; a GGUF file or a Hugging Face model directory was expected", path.string());
  return std::filesystem::is_directory(status);
}

}  // namespace

Checkpoint open_metadata(const std::filesystem::path& path) {
  if (!is_model_directory(path)) return open_checkpoint(path);
  Checkpoint c = open_huggingface_config(path);
  c.path = path;
  return c;
}

Checkpoint open_checkpoint(const std::filesystem::path& path) {
  Checkpoint c = is_model_directory(path) ? open_huggingface(path) : open_gguf(path);
  c.path = path;
  if (c.tensors.empty() && !c.missing.empty()) fail("{}", c.missing.begin()->second);
  if (c.tensors.empty()) fail("{}: holds no tensors, so it is no model", path.string());
  for (size_t i = 0; i < c.tensors.size(); ++i)
    if (!c.index.emplace(c.tensors[i].name, i).second)
      fail("{}: two files hold the tensor {}", path.string(), in_quotes(c.tensors[i].name));
  return c;
}

Tensor Checkpoint::find(std::string_view name) const {
  auto it = index.find(std::string(name));
  return it == index.end() ? Tensor{} : tensors[it->second].tensor;
}

Tensor Checkpoint::require(std::string_view name) const {
  if (Tensor t = find(name)) return t;
  auto it = skipped.find(std::string(name));
  if (it != skipped.end())
    fail("{}: tensor {} cannot be used: it has {}; F32, F16 and BF16 are read", path.string(),
         in_quotes(name), it->second);
  if (auto gone = missing.find(std::string(name)); gone != missing.end()) fail("{}", gone->second);
  fail("{}: tensor {} is missing", path.string(), in_quotes(name));
}

int64_t Checkpoint::tensor_bytes() const {
  int64_t n = 0;
  for (const NamedTensor& t : tensors) n += t.tensor.bytes();
  return n;
}

int64_t Checkpoint::parameters() const {
  int64_t n = 0;
  for (const NamedTensor& t : tensors) n += t.tensor.rows() * t.tensor.cols();
  return n;
}

void check_finite(const NamedTensor& named, const std::string& file) {
  const Tensor& t = named.tensor;
  int64_t n = t.rows() * t.cols();  // tensors of a checkpoint are contiguous
  bool finite = true;
  switch (t.dtype) {
    case DType::F32:
      finite = all_finite_32(t.row<std::byte>(0), n);
      break;
    case DType::F16:
      finite = all_finite_16(t.row<std::byte>(0), n, kExponentF16);
      break;
    case DType::BF16:
      finite = all_finite_16(t.row<std::byte>(0), n, kExponentBF16);
      break;
    default:
      finite = all_finite_scales(t.row<std::byte>(0), n / dtype_info(t.dtype).block_elements, t.dtype);
  }
  if (!finite)
    fail(
        "{}: tensor {} holds {}; the file is damaged or was written by a run that diverged", file,
        in_quotes(named.name),
        is_quantised(t.dtype) ? "a scale that is not a finite number" : "values that are not finite numbers");
}

}  // namespace longspan
