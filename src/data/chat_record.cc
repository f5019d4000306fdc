#include "data/chat_record.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

/// What data sets call the share of a turn in the loss.
enum class Says { Weight, Learnt, Masked };
struct WeightKey {
  const char* name;
  Says says;
};
constexpr WeightKey kWeightKeys[] = {
    {"weight", Says::Weight},                                // OpenAI, mistral-finetune, axolotl's ShareGPT
    {"loss_weight", Says::Weight}, {"train", Says::Learnt},  // axolotl: message_field_training
    {"training", Says::Learnt},    {"trainable", Says::Learnt}, {"train_on_turn", Says::Learnt},
    {"learn", Says::Learnt},       {"loss", Says::Learnt},    // ms-swift, XTuner
    {"mask", Says::Masked},        {"masked", Says::Masked},  // torchtune
};
constexpr const char* kWeightOfRecord[] = {"weight", "loss_weight", "sample_weight"};
// A key of a turn that contains one of these would change what is learnt.
constexpr const char* kSuspicious[] = {"weight", "loss", "train", "mask", "learn"};
constexpr const char* kSuspiciousOfRecord[] = {"loss",
                                               "loss_mask",
                                               "mask",
                                               "train",
                                               "training",
                                               "train_on_input",
                                               "train_on_inputs",
                                               "train_on_prompt",
                                               "mask_history",
                                               "mask_prompt",
                                               "mask_inputs",
                                               "weights",
                                               "loss_weights",
                                               "label_mask",
                                               "labels",
                                               "masked_turns"};

const Json& at(const Json& object, const char* key) {
  static const Json kNull;
  auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::optional<double> number_of(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (!value.is_number()) return std::nullopt;
  double number = value.get<double>();
  return std::isfinite(number) && number >= 0 ? std::optional(number) : std::nullopt;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// Takes a key that says how much of a turn is learnt. False when it is none.
bool take_weight(const std::string& key, const Json& value, size_t turn, ChatTurn& out) {
  auto row = std::find_if(std::begin(kWeightKeys), std::end(kWeightKeys),
                          [&](const WeightKey& k) { return key == k.name; });
  if (row == std::end(kWeightKeys)) {
    for (const char* part : kSuspicious)
      if (!value.is_null() && lower(key).find(part) != std::string::npos)
        fail(
            "has the key {} in message {}, which may change what is learnt and is not known; remove it, or "
            "write \"weight\"",
            in_quotes(key), turn);
    return false;
  }
  if (value.is_null()) return true;
  std::optional<double> number = number_of(value);
  if (!number || (row->says == Says::Masked && *number != 0 && *number != 1))
    fail("has {} {} in message {}; true, false or a number from 0 on was expected", in_quotes(key),
         excerpt_json(value), turn);
  out.weight *= row->says == Says::Masked ? 1 - *number : *number;
  out.chosen = out.chosen || (row->says == Says::Learnt && *number > 0);
  return true;
}

/// The text of a content: a string, or a list of parts of text.
std::string content_of(const Json& value, const std::string& joiner, size_t turn) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "";
  if (!value.is_array())
    fail("has a content in message {} that is neither a string nor a list of parts", turn);
  std::string text;
  bool first = true;
  for (const Json& part : value) {
    const Json& type = part.is_object() ? at(part, "type") : part;
    const Json& words = part.is_object() ? at(part, "text") : part;
    bool is_text =
        part.is_string() || type.is_null() || type == "text" || type == "input_text" || type == "output_text";
    if (!is_text || !words.is_string())
      fail("has a part of type {} in message {}; only text can be trained on", excerpt_json(type), turn);
    text += (first ? "" : joiner) + words.get<std::string>();
    first = false;
  }
  return text;
}

/// ShareGPT's names of the speakers.
std::string role_of(const std::string& from, size_t turn) {
  constexpr std::pair<const char*, const char*> kRoles[] = {{"human", "user"},
                                                            {"user", "user"},
                                                            {"gpt", "assistant"},
                                                            {"chatgpt", "assistant"},
                                                            {"assistant", "assistant"},
                                                            {"bing", "assistant"},
                                                            {"bard", "assistant"},
                                                            {"model", "assistant"},
                                                            {"system", "system"},
                                                            {"tool", "tool"},
                                                            {"observation", "tool"},
                                                            {"function_response", "tool"},
                                                            {"function_call", "assistant"}};
  for (auto [name, role] : kRoles)
    if (lower(from) == name) return role;
  fail("has a message {} from {}; human, gpt, system, function_call and observation are known", turn,
       in_quotes(from));
}

/// A function_call of ShareGPT holds {"name", "arguments"}, or a list of them, as text.
Json calls_of(const std::string& text, size_t turn) {
  Json parsed;
  try {
    parsed = parse_json(text, "");
  } catch (const Error&) {
    fail("has a function_call in message {} that is not JSON", turn);
  }
  Json calls = Json::array();
  for (const Json& call : parsed.is_array() ? parsed : Json::array({parsed})) {
    if (!call.is_object() || !at(call, "name").is_string())
      fail("has a function_call in message {} without a \"name\"", turn);
    calls.push_back({{"type", "function"}, {"function", call}});
  }
  return calls;
}

ChatTurn turn_of(const Json& m, const std::string& joiner, size_t number) {
  bool sharegpt = m.is_object() && !m.contains("role") && m.contains("from");
  const char *who = sharegpt ? "from" : "role", *what = sharegpt ? "value" : "content";
  if (!m.is_object() || !at(m, who).is_string())
    fail("has a message {} without \"role\" and \"content\" (or \"from\" and \"value\")", number);
  ChatTurn turn;
  std::string speaker = m[who].get<std::string>();
  turn.message.role = sharegpt ? role_of(speaker, number) : speaker;
  turn.message.content = content_of(at(m, what), joiner, number);
  Json& fields = turn.message.fields;
  for (const auto& [key, value] : m.items())
    if (key != who && key != what && !take_weight(key, value, number, turn) && !value.is_null())
      fields[key] = value;
  if (sharegpt && lower(speaker) == "function_call") {
    fields["tool_calls"] = calls_of(turn.message.content, number);
    turn.message.content.clear();
  }
  turn.calls = fields.is_object() && !at(fields, "tool_calls").empty();
  if (turn.calls && turn.message.content.empty()) fields["content"] = nullptr;  // as OpenAI's format has it
  if (!turn.calls && !m.contains(what))
    fail("has a message {} without \"role\" and \"content\" (or \"from\" and \"value\")", number);
  return turn;
}

std::string text_at(const Json& record, const char* key) {
  const Json& value = at(record, key);
  if (value.is_null()) return "";
  if (!value.is_string()) fail("has \"{}\" that is no string", key);
  return value.get<std::string>();
}

Json said(const char* role, const std::string& text) { return {{"role", role}, {"content", text}}; }

/// Alpaca: the input follows the instruction; "history" holds earlier pairs.
Json alpaca_turns(const Json& record) {
  Json turns = Json::array();
  const Json& history = at(record, "history");
  for (const Json& pair : history.is_null() ? Json::array() : history) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
      fail("has \"history\" that is no list of [question, answer]");
    turns.push_back(said("user", pair[0])), turns.push_back(said("assistant", pair[1]));
  }
  std::string instruction = text_at(record, "instruction"), input = text_at(record, "input");
  turns.push_back(said("user", instruction + (instruction.empty() || input.empty() ? "" : "\n") + input));
  turns.push_back(said("assistant", text_at(record, "output")));
  return turns;
}

/// TRL: texts, or lists of messages.
Json prompt_turns(const Json& record) {
  Json turns = Json::array();
  for (auto [key, role] : {std::pair{"prompt", "user"}, {"completion", "assistant"}}) {
    const Json& part = at(record, key);
    for (const Json& turn : part.is_array() ? part : Json::array({said(role, text_at(record, key))}))
      turns.push_back(turn);
  }
  return turns;
}

Json turns_of(const Json& record) {
  for (const char* key : {"messages", "conversations", "conversation"})
    if (const Json& list = at(record, key); list.is_array() && !list.empty()) return list;
  if (at(record, "output").is_string() && (record.contains("instruction") || record.contains("input")))
    return alpaca_turns(record);
  if (record.contains("prompt") && record.contains("completion")) return prompt_turns(record);
  fail(
      "has no \"messages\", a list of {{\"role\", \"content\"}} (nor \"conversations\", \"instruction\" with "
      "\"output\", or \"prompt\" with \"completion\")");
}

void read_record_keys(const Json& record, ChatRecord& out) {
  for (const char* key : kWeightOfRecord) {
    const Json& value = at(record, key);
    if (value.is_null()) continue;
    std::optional<double> number = number_of(value);
    if (!number) fail("has \"{}\" {}; a number from 0 on was expected", key, excerpt_json(value));
    out.weight *= *number;
  }
  for (const char* key : kSuspiciousOfRecord)
    if (!at(record, key).is_null())
      fail(
          "has the key \"{}\", which may change what is learnt and is not known; remove it, or write "
          "\"weight\" in its messages",
          key);
  out.tools = at(record, "tools");
  if (out.tools.is_string()) {  // LLaMA-Factory
    std::string text = out.tools.get<std::string>();
    out.tools = blank(text) ? Json() : parse_json(text, "has \"tools\" that");
  }
  if (out.tools.is_array() && out.tools.empty()) out.tools = nullptr;
}

}  // namespace

bool blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

ChatRecord read_chat_record(const Json& record, const std::string& joiner) {
  ChatRecord out;
  read_record_keys(record, out);
  Json turns = turns_of(record);
  for (const char* key : {"system", "system_prompt"})
    if (std::string system = text_at(record, key); !blank(system) && out.first == 0) {
      if (turns.front().is_object() &&
          (at(turns.front(), "role") == "system" || at(turns.front(), "from") == "system"))
        continue;
      out.turns.push_back({.message = {"system", system}});
      out.first = 1;
    }
  bool answered = false;
  for (const Json& turn : turns) {
    out.turns.push_back(turn_of(turn, joiner, out.turns.size() + 1 - out.first));
    const ChatTurn& last = out.turns.back();
    if (last.message.role != "assistant") continue;
    answered = true;
    if (blank(last.message.content) && !last.calls)
      fail("has an empty answer, message {}", out.turns.size() - out.first);
  }
  if (!answered) fail("has no message of the assistant");
  return out;
}

}  // namespace longspan
