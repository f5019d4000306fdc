#include "checkpoint/layout.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

void refuse_lfs_pointer(std::span<const std::byte> bytes, const std::string& file) {
  constexpr std::string_view kStart = "version https://git-lfs";
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kStart))
    fail("{}: is a Git LFS pointer, not the model itself; run git lfs pull", file);
}

AnnouncedTensor announce(std::string name, DType dtype, std::span<const uint64_t> sizes,
                         const std::string& file) {
  if (sizes.empty() || sizes.size() > 4)
    fail("{}: tensor {} has {} dimensions, 1 to 4 were expected", file, in_quotes(name), sizes.size());
  const DTypeInfo& info = dtype_info(dtype);
  AnnouncedTensor a{std::move(name), {}, 0, 0};
  Tensor& t = a.tensor;
  t.dtype = dtype;
  t.dims = static_cast<int>(sizes.size());
  // 2^56 elements exceed any machine's memory, and their bytes still fit into 64 bits.
  constexpr uint64_t kMost = uint64_t{1} << 56;
  uint64_t elements = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) fail("{}: tensor {} has a dimension of size 0", file, in_quotes(a.name));
    if (sizes[i] > kMost / elements)
      fail("{}: tensor {} claims more elements than any machine holds", file, in_quotes(a.name));
    elements *= sizes[i];
    t.size[i] = static_cast<int64_t>(sizes[i]);
  }
  if (t.cols() % info.block_elements != 0)
    fail("{}: tensor {} is of type {} with rows of {} elements, a multiple of {} was expected", file,
         in_quotes(a.name), info.name, t.cols(), info.block_elements);
  t.row_stride = dtype_bytes(dtype, t.cols());
  a.bytes = static_cast<uint64_t>(t.bytes());
  return a;
}

std::vector<NamedTensor> place(std::vector<AnnouncedTensor> announced, std::span<const std::byte> bytes,
                               uint64_t data_start, const std::string& file) {
  std::unordered_set<std::string_view> names;
  std::vector<const AnnouncedTensor*> by_offset;
  for (const AnnouncedTensor& a : announced) {
    if (!names.insert(a.name).second) fail("{}: tensor {} stands twice in the file", file, in_quotes(a.name));
    by_offset.push_back(&a);
  }
  std::sort(by_offset.begin(), by_offset.end(), [](auto* a, auto* b) { return a->begin < b->begin; });

  // The last end is the length that the whole file should have, which is the useful number after an
  // interrupted download.
  const AnnouncedTensor* last = nullptr;
  uint64_t end = 0;
  for (const AnnouncedTensor* a : by_offset) {
    if (a->begin > std::numeric_limits<uint64_t>::max() - a->bytes - data_start)
      fail("{}: tensor {} begins at offset {}, beyond any file", file, in_quotes(a->name), a->begin);
    if (last && a->begin < end)
      fail("{}: tensors {} and {} overlap", file, in_quotes(last->name), in_quotes(a->name));
    end = a->begin + a->bytes, last = a;
  }
  if (last && data_start + end > bytes.size())
    fail("{}: is truncated: tensor {} ends at byte {}, the file has {} bytes; download it again", file,
         in_quotes(last->name), data_start + end, bytes.size());

  std::vector<NamedTensor> tensors;
  tensors.reserve(announced.size());
  for (AnnouncedTensor& a : announced) {
    // Tensor::data is not const because activations share the type; the mapping itself stays read-only.
    a.tensor.data = const_cast<std::byte*>(bytes.data() + data_start + a.begin);
    tensors.push_back({std::move(a.name), a.tensor});
  }
  return tensors;
}

}  // namespace longspan
