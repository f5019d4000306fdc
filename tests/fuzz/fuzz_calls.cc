// Any bytes as a request to the server: the first byte chooses the path, the rest is the body. An error of
// the API's form or a call whose numbers are in their ranges; tool calls of any answer.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "server/calls.h"
#include "server/tool_calls.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  using namespace longspan::server;
  if (size == 0) return 0;
  std::string body(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto check = [](const Call& call) {
    const SamplingOptions& s = call.choice.sampling;
    check_sampling(s);
    if (call.n < 1 || call.n > kMostChoices || call.choice.logprobs < -1 ||
        call.choice.logprobs > kMostLogprobs)
      std::abort();
  };
  try {
    if (data[0] % 3 == 2) {
      ReadAnswer read = read_tool_calls(body, {"f", "g"});
      if (shown_before_calls(body) > body.size() || read.content.size() > body.size()) std::abort();
      return 0;
    }
    Json request = parse_json(body, "fuzz");
    if (data[0] % 3 == 0)
      check(read_chat_call(request));
    else
      check(read_text_call(request));
  } catch (const Error&) {
  }
  return 0;
}
