#include "suites/prompt.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

bool through_template(const Engine& engine, const Task& task) {
  return task.chat && engine.has_chat_template();
}

std::string plain(const CaseText& text) {
  std::string joined = text.system;
  auto add = [&](const std::string& turn) {
    joined += (joined.empty() || turn.empty() ? "" : "\n\n") + turn;
  };
  for (const ChatMessage& turn : text.turns) add(turn.content);
  add(text.user);
  return joined;
}

/// Some templates refuse a turn of the system's: then it opens the user's, as OpenCompass sends it.
std::string rendered(const Engine& engine, const std::vector<ChatMessage>& messages) {
  bool with_system = messages.size() > 1 && messages.front().role == "system";
  try {
    return engine.render_chat(messages, true);
  } catch (const Error&) {
    if (!with_system) throw;
  }
  std::vector<ChatMessage> merged(messages.begin() + 1, messages.end());
  merged.front().content = messages.front().content + "\n" + merged.front().content;
  return engine.render_chat(merged, true);
}

Prompt whole(const Engine& engine, const Task& task, const CaseText& text) {
  Prompt prompt;
  std::vector<ChatMessage> messages;
  if (!text.system.empty()) messages.push_back({"system", text.system});
  messages.insert(messages.end(), text.turns.begin(), text.turns.end());
  messages.push_back({"user", text.user});
  if (through_template(engine, task)) {
    prompt.text = rendered(engine, messages) + text.prefix;
    prompt.ids = encode_chat(engine, prompt.text);
  } else {
    prompt.text = plain(text) + text.prefix;
    prompt.ids = engine.tokenizer().encode(prompt.text, {.add_special = true, .parse_special = false});
  }
  messages.back().content += text.prefix;
  prompt.messages = std::move(messages);
  return prompt;
}

int64_t size_of(const Prompt& prompt) { return std::ssize(prompt.ids); }

[[noreturn]] void refuse(const Task& task, int64_t tokens, int64_t room) {
  fail(
      "the prompt has {} tokens and {} are for the answer, but the window is {}; stretch it with --position, "
      "cut the text with --truncate middle|left|right, or insist with --context {}",
      grouped(tokens), grouped(task.new_tokens), grouped(room + task.new_tokens), tokens + task.new_tokens);
}

/// OpenCompass: the first and the last half of the room, an odd token is lost.
Prompt middle_of_ids(const Engine& engine, Prompt prompt, int64_t room) {
  int64_t half = room / 2, before = size_of(prompt);
  prompt.ids.erase(prompt.ids.begin() + half, prompt.ids.end() - half);
  prompt.cut = before - size_of(prompt);
  prompt.text = engine.tokenizer().decode(prompt.ids);
  prompt.messages.clear();
  return prompt;
}

/// LongBench: the text of the user's turn, counted with special tokens, loses its middle; both halves are
/// decoded. Where the template would make that too long after all, more goes.
Prompt middle_of_text(const Engine& engine, const Task& task, const CaseText& text, int64_t room) {
  const Tokenizer& tokenizer = engine.tokenizer();
  std::vector<int32_t> ids = tokenizer.encode(text.user, {.add_special = true, .parse_special = false});
  int64_t keep = std::max<int64_t>(room + task.new_tokens - task.reserve, 0);
  CaseText cut = text;
  for (;;) {
    if (std::ssize(ids) > keep) {
      auto half = static_cast<size_t>(keep / 2);
      cut.user = tokenizer.decode(std::span(ids).first(half), true) +
                 tokenizer.decode(std::span(ids).last(half), true);
    }
    Prompt prompt = whole(engine, task, cut);
    if (std::ssize(ids) > keep) prompt.cut = std::ssize(ids) - keep / 2 * 2;
    int64_t excess = size_of(prompt) - room;
    if (excess <= 0) return prompt;
    keep = std::min<int64_t>(keep, std::ssize(ids)) - excess;
    if (keep < 2) refuse(task, size_of(whole(engine, task, text)), room);
  }
}

/// The text with another document.
CaseText with_document(const CaseText& text, const std::string& document) {
  CaseText cut = text;
  cut.user.replace(text.document_begin, text.document_end - text.document_begin, document);
  cut.document_end = text.document_begin + document.size();
  return cut;
}

Prompt side_of_document(const Engine& engine, const Task& task, const CaseText& text, int64_t room) {
  const Tokenizer& tokenizer = engine.tokenizer();
  std::string document = text.user.substr(text.document_begin, text.document_end - text.document_begin);
  std::vector<int32_t> ids = tokenizer.encode(document, {.add_special = false, .parse_special = false});
  Prompt prompt = whole(engine, task, text);
  int64_t full = size_of(prompt), keep = std::ssize(ids);
  // The seam may tokenise otherwise than the whole did: a few more tokens may have to go.
  while (size_of(prompt) > room) {
    keep -= size_of(prompt) - room;
    if (keep < 1) refuse(task, full, room);
    auto n = static_cast<size_t>(keep);
    std::span<const int32_t> kept =
        task.truncate == Truncation::Left ? std::span(ids).last(n) : std::span(ids).first(n);
    prompt = whole(engine, task, with_document(text, tokenizer.decode(kept)));
  }
  prompt.cut = std::ssize(ids) - keep;
  return prompt;
}

/// The first n words between single blanks.
std::string first_words(const std::string& text, int64_t n) {
  size_t end = 0, from = 0;
  for (; n > 0 && end != text.npos; --n, from = end + 1) end = text.find(' ', from);
  return text.substr(0, end);
}

Prompt fewer_words(const Engine& engine, const Task& task, const CaseText& text, int64_t room) {
  constexpr int64_t kForAnswer = 512, kStep = 250;
  const Tokenizer& tokenizer = engine.tokenizer();
  std::string document = text.user.substr(text.document_begin, text.document_end - text.document_begin);
  auto count = [&](const std::string& d) { return std::ssize(tokenizer.encode(d, {})); };
  int64_t most = room + task.new_tokens - kForAnswer, words = most;
  std::string kept = document;
  auto shorten = [&] {
    if (words < 1) refuse(task, size_of(whole(engine, task, text)), room);
    kept = first_words(document, words);
    words -= kStep;
  };
  while (count(kept) > most) shorten();
  Prompt prompt = whole(engine, task, with_document(text, kept));
  // Their script forgets question and template; a window does not.
  for (; size_of(prompt) > room; prompt = whole(engine, task, with_document(text, kept))) shorten();
  prompt.cut = count(document) - count(kept);
  return prompt;
}

Prompt cut_to_room(const Engine& engine, const Task& task, const CaseText& text, int64_t room) {
  Prompt prompt = whole(engine, task, text);
  bool fits = room <= 0 || size_of(prompt) <= room;
  switch (task.truncate) {
    case Truncation::TextMiddle:
      // Its bound is its own: it cuts what would have fitted.
      return room <= 0 ? prompt : middle_of_text(engine, task, text, room);
    case Truncation::Words:
      if (room <= 0 || text.document_end == text.document_begin) break;
      return fewer_words(engine, task, text, room);
    default:
      break;
  }
  if (fits) return prompt;
  if (task.truncate == Truncation::Middle && room >= 2) return middle_of_ids(engine, std::move(prompt), room);
  bool sides = task.truncate == Truncation::Left || task.truncate == Truncation::Right;
  if (sides && text.document_end > text.document_begin) return side_of_document(engine, task, text, room);
  refuse(task, size_of(prompt), room);
}

}  // namespace

Prompt make_prompt(const Engine& engine, const Task& task, const CaseText& text, int64_t room) {
  Prompt prompt = cut_to_room(engine, task, text, room);
  const Tokenizer& tokenizer = engine.tokenizer();
  if (tokenizer.bos_id() >= 0 && !prompt.ids.empty() && prompt.ids[0] == tokenizer.bos_id())
    if (std::string bos = tokenizer.token_text(prompt.ids[0]); prompt.text.starts_with(bos))
      prompt.bos = bos.size();
  return prompt;
}

int64_t prompt_tokens(const Engine& engine, const Task& task, const CaseText& text) {
  return size_of(whole(engine, task, text));
}

CaseText fill_task(const Task& task, const Json& fields, const std::string& where) {
  CaseText text;
  text.system = fill_slots(task.system, fields, where);
  text.user = fill_slots(task.prompt, fields, where, task.document, &text.document_begin, &text.document_end);
  text.prefix = fill_slots(task.prefix, fields, where);
  return text;
}

}  // namespace longspan
