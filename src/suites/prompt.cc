#include "suites/prompt.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/fit.h"

namespace longspan {

namespace {

bool through_template(const PromptMaker& prompts, const Task& task) {
  return task.chat && prompts.chat.chat_template.has_value();
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

/// Some templates refuse a system turn: then its text opens the user's turn, as OpenCompass sends it.
std::string rendered(const ChatFormat& chat, const std::vector<ChatMessage>& messages) {
  bool with_system = messages.size() > 1 && messages.front().role == "system";
  try {
    return chat.render(messages, true);
  } catch (const Error&) {
    if (!with_system) throw;
  }
  std::vector<ChatMessage> merged(messages.begin() + 1, messages.end());
  merged.front().content = messages.front().content + "\n" + merged.front().content;
  return chat.render(merged, true);
}

Prompt whole(const PromptMaker& prompts, const Task& task, const CaseText& text) {
  if (text.prompt) return *text.prompt;
  Prompt prompt;
  std::vector<ChatMessage> messages;
  if (!text.system.empty()) messages.push_back({"system", text.system});
  messages.insert(messages.end(), text.turns.begin(), text.turns.end());
  messages.push_back({"user", text.user});
  if (through_template(prompts, task)) {
    prompt.text = rendered(prompts.chat, messages) + text.prefix;
    prompt.ids = encode_chat(prompts.tokenizer, prompt.text);
  } else {
    prompt.text = plain(text) + text.prefix;
    prompt.ids = prompts.tokenizer.encode(prompt.text, {.add_special = true, .parse_special = false});
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

/// OpenCompass: keeps the first and the last half of the room; an odd token is lost.
Prompt middle_of_ids(const PromptMaker& prompts, Prompt prompt, int64_t room) {
  int64_t half = room / 2, before = size_of(prompt);
  prompt.ids.erase(prompt.ids.begin() + half, prompt.ids.end() - half);
  prompt.cut = before - size_of(prompt);
  prompt.text = prompts.tokenizer.decode(prompt.ids);
  prompt.messages.clear();
  return prompt;
}

/// LongBench: removes the middle of the user's text, counted with special tokens, and decodes both halves. If
/// the template makes the result too long, more is removed.
Prompt middle_of_text(const PromptMaker& prompts, const Task& task, const CaseText& text, int64_t room) {
  const Tokenizer& tokenizer = prompts.tokenizer;
  std::vector<int32_t> ids = tokenizer.encode(text.user, {.add_special = true, .parse_special = false});
  int64_t keep = std::max<int64_t>(room + task.new_tokens - task.reserve, 0);
  CaseText cut = text;
  cut.prompt = nullptr;
  for (;;) {
    if (std::ssize(ids) > keep) {
      auto half = static_cast<size_t>(keep / 2);
      cut.user = tokenizer.decode(std::span(ids).first(half), true) +
                 tokenizer.decode(std::span(ids).last(half), true);
    }
    Prompt prompt = whole(prompts, task, cut);
    if (std::ssize(ids) > keep) prompt.cut = std::ssize(ids) - keep / 2 * 2;
    int64_t excess = size_of(prompt) - room;
    if (excess <= 0) return prompt;
    keep = std::min<int64_t>(keep, std::ssize(ids)) - excess;
    if (keep < 2) refuse(task, size_of(whole(prompts, task, text)), room);
  }
}

/// The text with its document replaced.
CaseText with_document(const CaseText& text, const std::string& document) {
  CaseText cut = text;
  cut.prompt = nullptr;
  cut.user.replace(text.document_begin, text.document_end - text.document_begin, document);
  cut.document_end = text.document_begin + document.size();
  return cut;
}

/// `prompt`: the whole one, which does not fit.
Prompt side_of_document(const PromptMaker& prompts, const Task& task, const CaseText& text, Prompt prompt,
                        int64_t room) {
  const Tokenizer& tokenizer = prompts.tokenizer;
  std::string document = text.user.substr(text.document_begin, text.document_end - text.document_begin);
  std::vector<int32_t> ids = tokenizer.encode(document, {.add_special = false, .parse_special = false});
  int64_t full = size_of(prompt);
  int64_t keep = kept_tokens(std::ssize(ids) - (full - room), [&](int64_t n) {
    auto count = static_cast<size_t>(n);
    std::span<const int32_t> kept =
        task.truncate == Truncation::Left ? std::span(ids).last(count) : std::span(ids).first(count);
    prompt = whole(prompts, task, with_document(text, tokenizer.decode(kept)));
    return size_of(prompt) - room;
  });
  if (keep == 0) refuse(task, full, room);
  prompt.cut = std::ssize(ids) - keep;
  return prompt;
}

/// The first n words, separated by single spaces.
std::string first_words(const std::string& text, int64_t n) {
  size_t end = 0, from = 0;
  for (; n > 0 && end != text.npos; --n, from = end + 1) end = text.find(' ', from);
  return text.substr(0, end);
}

Prompt fewer_words(const PromptMaker& prompts, const Task& task, const CaseText& text, int64_t room) {
  constexpr int64_t kForAnswer = 512, kStep = 250;
  const Tokenizer& tokenizer = prompts.tokenizer;
  std::string document = text.user.substr(text.document_begin, text.document_end - text.document_begin);
  auto count = [&](const std::string& d) { return std::ssize(tokenizer.encode(d, {})); };
  int64_t most = room + task.new_tokens - kForAnswer, words = most;
  std::string kept = document;
  auto shorten = [&] {
    if (words < 1) refuse(task, size_of(whole(prompts, task, text)), room);
    kept = first_words(document, words);
    words -= kStep;
  };
  while (count(kept) > most) shorten();
  Prompt prompt = whole(prompts, task, with_document(text, kept));
  // L-Eval's script does not count question and template; the window does.
  for (; size_of(prompt) > room; prompt = whole(prompts, task, with_document(text, kept))) shorten();
  prompt.cut = count(document) - count(kept);
  return prompt;
}

Prompt cut_to_room(const PromptMaker& prompts, const Task& task, const CaseText& text, int64_t room) {
  bool has_document = text.document_end > text.document_begin;
  // These two have bounds of their own: they cut even prompts that would fit.
  if (room > 0 && task.truncate == Truncation::TextMiddle) return middle_of_text(prompts, task, text, room);
  if (room > 0 && task.truncate == Truncation::Words && has_document)
    return fewer_words(prompts, task, text, room);
  Prompt prompt = whole(prompts, task, text);
  if (room <= 0 || size_of(prompt) <= room) return prompt;
  if (task.truncate == Truncation::Middle && room >= 2)
    return middle_of_ids(prompts, std::move(prompt), room);
  bool sides = task.truncate == Truncation::Left || task.truncate == Truncation::Right;
  if (sides && has_document) return side_of_document(prompts, task, text, std::move(prompt), room);
  refuse(task, size_of(prompt), room);
}

}  // namespace

Prompt make_prompt(const PromptMaker& prompts, const Task& task, const CaseText& text, int64_t room) {
  Prompt prompt = cut_to_room(prompts, task, text, room);
  const Tokenizer& tokenizer = prompts.tokenizer;
  // Where only the template writes it, nobody else will add it to a text.
  bool adds = !tokenizer.prefix().empty() && tokenizer.prefix()[0] == tokenizer.bos_id();
  if (adds && !prompt.ids.empty() && prompt.ids[0] == tokenizer.bos_id())
    if (std::string bos = tokenizer.token_text(prompt.ids[0]); prompt.text.starts_with(bos))
      prompt.bos = bos.size();
  return prompt;
}

int64_t prompt_tokens(const PromptMaker& prompts, const Task& task, CaseText& text) {
  if (!text.prompt) text.prompt = std::make_shared<const Prompt>(whole(prompts, task, text));
  return size_of(*text.prompt);
}

CaseText fill_task(const Task& task, const Json& fields, const std::string& where) {
  CaseText text;
  text.system = fill_slots(task.system, fields, where);
  text.user = fill_slots(task.prompt, fields, where, task.document, &text.document_begin, &text.document_end);
  text.prefix = fill_slots(task.prefix, fields, where);
  return text;
}

}  // namespace longspan
