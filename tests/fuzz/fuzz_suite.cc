// read_suite on any bytes: an Error or a suite.
#include "base/error.h"
#include "fuzz_file.h"
#include "suites/suite.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  try {
    read_suite(fuzz_file({reinterpret_cast<const char*>(data), size}, ".toml").string(), "", {}, {});
  } catch (const Error&) {
  }
  return 0;
}
