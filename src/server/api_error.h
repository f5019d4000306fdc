// Errors as OpenAI's API reports them.
#pragma once

#include <string>

#include "base/error.h"
#include "base/json.h"

namespace longspan::server {

struct ApiError : Error {
  ApiError(int status, std::string type, std::string message, std::string param = "", std::string code = "")
      : Error(std::move(message)),
        status(status),
        type(std::move(type)),
        param(std::move(param)),
        code(std::move(code)) {}

  int status;
  std::string type, param, code;
  double retry_after_s = 0;  // of the header; 0: none
};

/// {"error": {message, type, param, code}}; what is empty is null.
inline Json to_json(const ApiError& e) {
  auto text = [](const std::string& s) { return s.empty() ? Json() : Json(s); };
  return {
      {"error", {{"message", e.what()}, {"type", e.type}, {"param", text(e.param)}, {"code", text(e.code)}}}};
}

/// The client is at fault: 400, and the field that is.
inline ApiError bad_request(std::string message, std::string param = "", std::string code = "") {
  return {400, "invalid_request_error", std::move(message), std::move(param), std::move(code)};
}

}  // namespace longspan::server
