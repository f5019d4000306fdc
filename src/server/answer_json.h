// Answers as OpenAI's API writes them.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "server/calls.h"
#include "server/exchange.h"
#include "tokenizer/tokenizer.h"

namespace longspan::server {

/// A new id: PREFIX and 24 random characters.
std::string new_id(const std::string& prefix);

/// What the forms of answers need; copies are kept in them.
struct AnswerContext {
  Tokenizer tokenizer;
  std::string model;
};

Form chat_form(const ChatCall& call, const AnswerContext& context);
/// prompts: the text of each, which `echo` puts before its answers.
Form text_form(const TextCall& call, const AnswerContext& context, const std::vector<std::string>& prompts);

}  // namespace longspan::server
