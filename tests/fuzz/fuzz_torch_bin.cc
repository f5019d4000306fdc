// parse_torch_bin on any bytes: an Error or tensors that can be read to their last byte.
#include "use_tensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    longspan::use_tensors(
        longspan::parse_torch_bin({reinterpret_cast<const std::byte*>(data), size}, "fuzz"));
  } catch (const longspan::Error&) {
  }
  return 0;
}
