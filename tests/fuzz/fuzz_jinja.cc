// Any bytes as a chat template: an Error or a text, in bounded time and memory.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "jinja/jinja.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  static const Json variables = {
      {"messages",
       {{{"role", "system"}, {"content", "S"}}, {{"role", "user"}, {"content", "\xe4\xbd\xa0 it's"}}}},
      {"tools", {{{"name", "f"}, {"parameters", {{"x", 1}, {"y", 2.5}, {"z", nullptr}}}}}},
      {"bos_token", "<s>"},
      {"add_generation_prompt", true}};
  JinjaOptions options;
  options.max_steps = 200'000;
  options.max_output = 1 << 20;
  try {
    Jinja(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz").render(variables, options);
  } catch (const Error&) {
  }
  return 0;
}
