// Any bytes as what a server sends: the first byte chooses a completion, a chat completion or a list of
// models, the rest is the body. An Error or a reply whose counts are counts.
#include <cstdlib>

#include "base/error.h"
#include "eval/endpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  if (size == 0) return 0;
  std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 3 == 2) {
      first_model(body, "fuzz");
    } else {
      Reply reply = parse_reply(body, data[0] % 3 == 1, "fuzz");
      if (reply.new_tokens < -1 || reply.read_tokens < -1) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
