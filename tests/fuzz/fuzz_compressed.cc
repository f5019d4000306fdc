// Any bytes as a compressed file: the first byte chooses .xz or .zst, the rest is the file. Only the first
// 256 KiB of what it holds are read: a bomb is allowed, because a caller takes it in pieces.
#include "base/compressed.h"
#include "base/error.h"
#include "fuzz_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  if (size == 0) return 0;
  constexpr size_t kEnough = size_t{1} << 18;
  std::string_view file(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string unpacked;
  try {
    read_bytes(fuzz_file(file, data[0] % 2 == 0 ? ".xz" : ".zst"), [&](std::string_view bytes, int64_t read) {
      if (read < 0 || read > static_cast<int64_t>(file.size())) std::abort();
      unpacked += bytes;
      return unpacked.size() < kEnough;
    });
  } catch (const Error&) {
  }
  return 0;
}
