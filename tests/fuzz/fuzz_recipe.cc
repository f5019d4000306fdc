// read_recipe on any bytes: an Error or a recipe.
#include "base/error.h"
#include "fuzz_file.h"
#include "train/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  try {
    read_recipe(fuzz_file({reinterpret_cast<const char*>(data), size}, ".toml"));
  } catch (const Error&) {
  }
  return 0;
}
