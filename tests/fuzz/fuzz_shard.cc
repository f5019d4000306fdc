// Any bytes as a shard of tokens: an Error or a shard whose documents can all be read. The digest, which only
// a forger would mend, is made right; without that nothing but the check of it would be tried.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "base/error.h"
#include "data/shards.h"
#include "fuzz_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size >= 8) {
    uint64_t digest = XXH64(bytes.data(), size - 8, 0);
    std::memcpy(bytes.data() + size - 8, &digest, 8);
  }
  try {
    Shard shard(fuzz_file(bytes, ".shard"));
    std::vector<int32_t> ids;
    for (const ShardDocument& document : shard.documents()) shard.read(document.begin, document.end, ids);
    for (int32_t id : ids)
      if (id < 0) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
