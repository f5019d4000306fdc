// Asks a model behind an OpenAI-compatible server (llama-server, vLLM, a hosted one) instead of a local one,
// so that another engine is scored with the same prompts and metrics.
#pragma once

#include <string>
#include <string_view>

#include "eval/run.h"

namespace longspan {

struct Endpoint {
  std::string url;         // "http://127.0.0.1:8080", with or without /v1 behind it
  std::string model = {};  // its name there; "": the first that the server lists
  /// false: /v1/completions gets the prompt as it was rendered here, so that the server reads exactly what a
  /// local model would. true: /v1/chat/completions gets the turns and the server applies its own template.
  bool chat = false;
  std::string key = {};  // sent as bearer token when not empty
  double timeout_s = 3600;
};

/// The name given, or else the first model that the server lists. Error when the address is not a URL or does
/// not answer.
std::string endpoint_model(const Endpoint& endpoint);

/// Answers greedily (temperature 0). Refused connections and the statuses 429 and 5xx are retried, four
/// attempts in all with growing pauses; any other status is an Error with the server's message. Servers give
/// no likelihoods.
Responder endpoint_responder(const Endpoint& endpoint);

/// The body of an answer to /v1/completions or (`chat`) /v1/chat/completions. Counts that are missing or no
/// counts are -1. Error, opening with `where`: it holds no text where such an answer has it.
Reply parse_reply(std::string_view body, bool chat, const std::string& where);
/// The name of the first model of an answer to /v1/models. Error, opening with `where`: there is none.
std::string first_model(std::string_view body, const std::string& where);

}  // namespace longspan
