// A model behind an OpenAI-compatible server (llama-server, vLLM, a hosted one) is asked instead of a local
// one, so that another engine is scored by the same prompts and metrics.
#pragma once

#include <string>

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

/// Asks for the list of models when none was named. Error when the address is no URL or nobody answers there.
std::string endpoint_model(const Endpoint& endpoint);

/// Answers greedily (temperature 0). A refused connection and the states 429 and 5xx are tried again, four
/// times in all with growing pauses; every other state is an Error that holds what the server said.
/// Likelihoods are not to be had.
Responder endpoint_responder(const Endpoint& endpoint);

}  // namespace longspan
