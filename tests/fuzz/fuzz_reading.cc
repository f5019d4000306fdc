// Any bytes as a kept reading: an Error, or a header whose pages lie within the bytes. The digest of the
// header, which only a forger would mend, is made right where the sizes allow it.
#include <xxhash.h>

#include <cstring>
#include <string>

#include "base/error.h"
#include "generate/reading_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size >= 48) {
    uint64_t fixed[4];
    std::memcpy(fixed, bytes.data() + 16, sizeof fixed);
    uint64_t pages = (fixed[2] + 255) / 256, end = 48 + fixed[1] + fixed[2] * 4 + pages * 8;
    if (fixed[1] < size && fixed[2] < size && end + 8 <= size) {
      uint64_t digest = XXH3_64bits(bytes.data(), end);
      std::memcpy(bytes.data() + end, &digest, sizeof digest);
    }
  }
  try {
    auto span = std::as_bytes(std::span(bytes));
    ReadingHeader header = parse_reading(span, "fuzz");
    for (int64_t i = 0; i < std::ssize(header.digests); ++i) reading_page(span, header, i, "fuzz");
  } catch (const Error&) {
  }
  return 0;
}
