#include "server/calls.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "server/api_error.h"
#include "server/fields.h"

namespace longspan::server {

namespace {

constexpr size_t kMostStops = 16, kMostBiases = 1024, kMostMessages = 16384;

void read_sampling(const Fields& fields, Call& call) {
  SamplingOptions& s = call.choice.sampling;
  auto number = [&](const char* key, float& to, double least, double most) {
    if (auto x = fields.number(key, least, most)) to = static_cast<float>(*x);
  };
  s.temperature = 1;
  number("temperature", s.temperature, 0, 100);
  number("top_p", s.top_p, 0, 1);
  if (s.top_p <= 0) s.top_k = 1, s.top_p = 1;  // nothing but the likeliest
  if (auto k = fields.integer("top_k", -1, INT32_MAX))
    s.top_k = s.top_k == 1 ? 1 : std::max<int>(0, static_cast<int>(*k));
  number("min_p", s.min_p, 0, 1);
  number("repeat_penalty", s.repetition_penalty, 1e-3, 1e3);
  number("repetition_penalty", s.repetition_penalty, 1e-3, 1e3);
  number("frequency_penalty", call.choice.frequency_penalty, -2, 2);
  number("presence_penalty", call.choice.presence_penalty, -2, 2);
  s.stop = fields.texts("stop", kMostStops);
  s.stop.erase(std::remove(s.stop.begin(), s.stop.end(), std::string()), s.stop.end());
  call.choice.ignore_end = fields.boolean("ignore_eos").value_or(false);
  if (auto seed = fields.integer("seed", INT64_MIN)) {
    if (*seed != -1) call.seed = static_cast<uint64_t>(*seed);  // llama.cpp's clients say -1 for none
  }
  const Json* bias = fields.object("logit_bias");
  if (!bias) return;
  if (bias->size() > kMostBiases)
    fields.refuse("logit_bias", fmt::format("has {} entries; {} are allowed", bias->size(), kMostBiases));
  Fields of_token(*bias, fields.path("logit_bias."));
  for (const auto& [token, value] : bias->items()) {
    bool digits = !token.empty() && token.size() < 10 &&
                  std::all_of(token.begin(), token.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) of_token.refuse(token, "expected the id of a token as the name");
    if (auto x = of_token.number(token, -100, 100))
      call.choice.logit_bias.emplace_back(std::stoi(token), static_cast<float>(*x));
  }
}

void read_common(const Fields& fields, Call& call) {
  call.model = fields.text("model").value_or("");
  read_sampling(fields, call);
  call.n = fields.integer("n", 1, kMostChoices).value_or(1);
  if (auto best = fields.integer("best_of", 1); best && *best != call.n)
    fields.refuse("best_of", "only the value of n is supported");
  call.stream = fields.boolean("stream").value_or(false);
  if (const Json* options = fields.object("stream_options")) {
    Fields of_stream(*options, fields.path("stream_options."));
    call.include_usage = of_stream.boolean("include_usage").value_or(false);
  }
  call.progress = fields.boolean("return_progress").value_or(false);
  call.attention = fields.boolean("attention").value_or(false);
  call.priority = static_cast<int>(fields.integer("priority", -1000, 1000).value_or(0));
  call.user = fields.text("user").value_or("");
  call.timeout_s = fields.number("timeout", 0, 1e9).value_or(0);
  call.declared_length = fields.integer("declared_length", 0, int64_t{1} << 40).value_or(0);
  if (const Json* format = fields.object("response_format"))
    if (Fields(*format, "response_format.").text("type").value_or("") != "text")
      call.response_format = *format;
  call.grammar = fields.text("grammar").value_or("");
}

/// The text of a message: a text, or a list of parts with texts.
std::string content_of(const Fields& message) {
  const Json* content = message.find("content");
  if (!content) return {};
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) message.refuse("content", "expected a text or a list of parts");
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    Fields part((*content)[i], message.path(fmt::format("content[{}].", i)));
    std::string type = part.text("type").value_or("text");
    if (type != "text" && type != "input_text" && type != "refusal")
      part.refuse("type", fmt::format("{} is not supported: this model reads text", in_quotes(type)));
    text += part.text(type == "refusal" ? "refusal" : "text").value_or("");
  }
  return text;
}

/// Templates expect the arguments of earlier calls as objects, the API gives their JSON text.
Json with_arguments(const Json& calls, const Fields& message) {
  Json read = Json::array();
  for (size_t i = 0; i < calls.size(); ++i) {
    Fields call(calls[i], message.path(fmt::format("tool_calls[{}].", i)));
    const Json* function = call.object("function");
    if (!function) call.refuse("function", "is missing");
    Fields of_function(*function, call.path("function."));
    if (!of_function.text("name")) of_function.refuse("name", "is missing");
    Json one = calls[i];
    const Json* arguments = of_function.find("arguments");
    if (arguments && arguments->is_string()) {
      try {
        one["function"]["arguments"] = parse_json(arguments->get<std::string>(), "arguments");
      } catch (const Error&) {
        // A model may have written what is no JSON: it stays the text that it was.
      }
    }
    read.push_back(std::move(one));
  }
  return read;
}

ChatMessage read_message(const Json& value, size_t i) {
  Fields fields(value, fmt::format("messages[{}].", i));
  ChatMessage message;
  fields.require("role");
  message.role = *fields.text("role");
  if (message.role == "developer") message.role = "system";
  static const std::vector<std::string> known = {"system", "user", "assistant", "tool", "function"};
  if (std::find(known.begin(), known.end(), message.role) == known.end())
    fields.refuse("role", fmt::format("{} is none of system, developer, user, assistant, tool",
                                      in_quotes(message.role)));
  message.content = content_of(fields);
  const Json* calls = fields.list("tool_calls");
  if (!fields.find("content") && !calls && !fields.find("function_call") && message.role != "assistant")
    fields.refuse("content", "is missing");
  for (const char* key : {"name", "tool_call_id", "reasoning_content"})
    if (auto text = fields.text(key)) message.fields[key] = *text;
  if (calls && !calls->empty()) message.fields["tool_calls"] = with_arguments(*calls, fields);
  return message;
}

void read_tools(const Fields& fields, ChatCall& call) {
  const Json* tools = fields.list("tools");
  if (tools && !tools->empty()) {
    for (size_t i = 0; i < tools->size(); ++i) {
      Fields tool((*tools)[i], fmt::format("tools[{}].", i));
      const Json* function = tool.object("function");
      if (!function) tool.refuse("function", "is missing");
      if (!Fields(*function, tool.path("function.")).text("name")) tool.refuse("function.name", "is missing");
    }
    call.tools = *tools;
  }
  call.tool_choice = "auto";
  const Json* choice = fields.find("tool_choice");
  if (!choice) return;
  if (choice->is_string()) {
    call.tool_choice = choice->get<std::string>();
    if (call.tool_choice != "auto" && call.tool_choice != "none" && call.tool_choice != "required")
      fields.refuse("tool_choice", "expected auto, none, required or an object that names a function");
  } else {
    const Json* function = Fields(*choice, "tool_choice.").object("function");
    auto name = function ? Fields(*function, "tool_choice.function.").text("name") : std::nullopt;
    if (!name)
      fields.refuse("tool_choice", "expected auto, none, required or an object that names a function");
    call.tool_choice = "function:" + *name;
  }
  if (call.tool_choice == "none") call.tools = nullptr;
  if (call.tools.is_null() && call.tool_choice != "none" && call.tool_choice != "auto")
    fields.refuse("tool_choice", "there are no tools to choose from");
}

int32_t token_id(const Fields& fields, const std::string& key, const Json& value) {
  if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > INT32_MAX)
    fields.refuse(key, fmt::format("expected the id of a token, got {}", excerpt_json(value)));
  return static_cast<int32_t>(value.get<int64_t>());
}

std::vector<int32_t> ids_of(const Fields& fields, const std::string& key, const Json& list) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const Json& id : list) ids.push_back(token_id(fields, key, id));
  return ids;
}

std::vector<TextCall::Prompt> read_prompts(const Fields& fields) {
  const Json& prompt = fields.require("prompt");
  if (prompt.is_string()) return {{prompt.get<std::string>(), {}}};
  if (!prompt.is_array() || prompt.empty())
    fields.refuse("prompt", "expected a text, a list of texts, a list of token ids, or a list of such lists");
  if (prompt[0].is_number()) return {{"", ids_of(fields, "prompt", prompt)}};
  if (prompt.size() > kMostPrompts)
    fields.refuse("prompt", fmt::format("has {} entries; {} are allowed", prompt.size(), kMostPrompts));
  std::vector<TextCall::Prompt> prompts;
  for (const Json& one : prompt) {
    std::string key = fmt::format("prompt[{}]", prompts.size());
    if (one.is_string())
      prompts.push_back({one.get<std::string>(), {}});
    else if (one.is_array())
      prompts.push_back({"", ids_of(fields, key, one)});
    else
      fields.refuse(key, fmt::format("expected a text or a list of token ids, got {}", excerpt_json(one)));
  }
  return prompts;
}

}  // namespace

std::vector<ChatMessage> read_messages(const Json& request) {
  Fields fields(request);
  fields.require("messages");
  const Json& list = *fields.list("messages");
  if (list.empty()) fields.refuse("messages", "is empty");
  if (list.size() > kMostMessages)
    fields.refuse("messages", fmt::format("has {} entries; {} are allowed", list.size(), kMostMessages));
  std::vector<ChatMessage> messages;
  for (const Json& one : list) messages.push_back(read_message(one, messages.size()));
  return messages;
}

std::optional<std::vector<int32_t>> read_ids(const Json& request, const std::string& key) {
  Fields fields(request);
  const Json* list = fields.list(key);
  if (!list) return {};
  return ids_of(fields, key, *list);
}

namespace {

constexpr int64_t kMostPassages = 10000;

/// {"index": false} is as good as nothing.
std::optional<RetrievalCall> read_retrieval(const Fields& all) {
  const Json* object = all.object("retrieval");
  if (!object) return {};
  Fields fields(*object, "retrieval.");
  if (!fields.boolean("index").value_or(true)) return {};
  RetrievalCall call;
  call.budget = fields.integer("budget", 1).value_or(call.budget);
  call.passages = fields.integer("passages", 1, kMostPassages).value_or(0);
  return call;
}

}  // namespace

ChatCall read_chat_call(const Json& request) {
  Fields fields(request);
  ChatCall call;
  call.messages = read_messages(request);
  read_common(fields, call);
  call.max_tokens = fields.integer("max_completion_tokens", 1);
  if (!call.max_tokens)
    if (auto n = fields.integer("max_tokens", -1); n && *n != -1) {
      if (*n == 0) fields.refuse("max_tokens", "0 is less than 1");
      call.max_tokens = n;
    }
  if (fields.boolean("logprobs").value_or(false))
    call.choice.logprobs = static_cast<int>(fields.integer("top_logprobs", 0, kMostLogprobs).value_or(0));
  else if (fields.integer("top_logprobs", 0, kMostLogprobs).value_or(0) > 0)
    fields.refuse("top_logprobs", "needs \"logprobs\": true");
  read_tools(fields, call);
  call.retrieval = read_retrieval(fields);
  if (const Json* more = fields.object("chat_template_kwargs")) call.template_variables = *more;
  return call;
}

TextCall read_text_call(const Json& request) {
  Fields fields(request);
  TextCall call;
  call.prompts = read_prompts(fields);
  read_common(fields, call);
  call.max_tokens = fields.integer("max_tokens", 0).value_or(kDefaultTextTokens);
  call.echo = fields.boolean("echo").value_or(false);
  if (auto n = fields.integer("logprobs", 0, kMostLogprobs)) call.choice.logprobs = static_cast<int>(*n);
  if (fields.text("suffix").value_or("") != "") fields.refuse("suffix", "is not supported");
  if (*call.max_tokens == 0 && !call.echo) fields.refuse("max_tokens", "0 needs \"echo\": true");
  return call;
}

}  // namespace longspan::server
