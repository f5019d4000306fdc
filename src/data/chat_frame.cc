#include "data/chat_frame.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/unicode.h"

namespace longspan {

namespace {

// Letters and digits only, so that no escaping or stripping in a template changes it.
std::string marker(size_t message) { return fmt::format("longspanMessage{}Stands", message); }

/// An answer that only calls tools: no text of it can be marked.
bool hidden(const ChatMessage& message) { return message.role == "assistant" && message.content.empty(); }

std::vector<ChatMessage> marked(const std::vector<ChatMessage>& given, size_t count) {
  std::vector<ChatMessage> messages(given.begin(), given.begin() + static_cast<std::ptrdiff_t>(count));
  for (size_t i = 0; i < count; ++i)
    if (!hidden(messages[i])) messages[i].content = marker(i);
  return messages;
}

/// What follows the last marker of any of the first `count` messages.
std::string after_last_marker(const std::string& text, size_t count) {
  size_t last = 0;
  for (size_t i = 0; i < count; ++i)
    if (size_t at = text.rfind(marker(i)); at != std::string::npos)
      last = std::max(last, at + marker(i).size());
  return text.substr(last);
}

}  // namespace

ChatFrame chat_frame(const ChatFormat& chat, const std::vector<ChatMessage>& messages, const Json& tools) {
  std::string text = chat.render(marked(messages, messages.size()), false, tools);
  std::vector<size_t> places(messages.size());
  ChatFrame frame;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (hidden(messages[i])) continue;
    frame.order.push_back(i);
    places[i] = text.find(marker(i));
    if (places[i] == std::string::npos || text.find(marker(i), places[i] + 1) != std::string::npos)
      fail("the chat template shows message {} ({}) {}, so it cannot be told what to train on", i + 1,
           excerpt(messages[i].role), places[i] == std::string::npos ? "not at all" : "more than once");
  }
  std::sort(frame.order.begin(), frame.order.end(),
            [&](size_t a, size_t b) { return places[a] < places[b]; });
  size_t at = 0;
  for (size_t i : frame.order) {
    frame.texts.push_back(text.substr(at, places[i] - at));
    at = places[i] + marker(i).size();
  }
  frame.texts.push_back(text.substr(at));
  frame.prompts.resize(messages.size());
  frame.ends.resize(messages.size());
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    frame.prompts[i] = after_last_marker(chat.render(marked(messages, i), true, tools), i);
    frame.ends[i] = after_last_marker(chat.render(marked(messages, i + 1), false, tools), i + 1);
  }
  return frame;
}

std::string part_joiner(const ChatFormat& chat) {
  const std::string otherwise = "\n", one = marker(1), two = marker(2);
  auto rendered = [&](const Json& content) {
    return chat.render({{"user", one, Json{{"content", content}}}}, false);
  };
  try {
    auto part = [](const std::string& text) { return Json{{"type", "text"}, {"text", text}}; };
    std::string plain = rendered(one), parts = rendered(Json::array({part(one), part(two)}));
    size_t first = parts.find(one), second = parts.find(two), end = plain.find(one);
    bool read = end != std::string::npos && first == end && second != std::string::npos && second > first &&
                parts.substr(second + two.size()) == plain.substr(end + one.size());
    return read ? parts.substr(first + one.size(), second - first - one.size()) : otherwise;
  } catch (const Error&) {
    return otherwise;
  }
}

namespace {

/// How many bytes stripping may remove from the front of a text: none, line feeds, or all white space.
std::vector<size_t> leading(std::string_view text) {
  size_t feeds = std::min(text.find_first_not_of('\n'), text.size()), space = 0;
  for (size_t i = 0; i < text.size() && is_white_space(next_code_point(text, i));) space = i;
  return {0, feeds, space};
}

/// And from its end.
std::vector<size_t> trailing(std::string_view text) {
  size_t last = text.find_last_not_of('\n'),
         feeds = text.size() - (last == std::string_view::npos ? 0 : last + 1);
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
    size_t i = begin;
    if (!is_white_space(next_code_point(text, i))) break;
    end = begin;
  }
  return {0, feeds, text.size() - end};
}

/// Finds the content, possibly stripped, at `begin`, followed by `after`. False when it is not there.
bool find_content(std::string_view rendered, size_t begin, const std::string& content, std::string_view after,
                  MessageSpan& span) {
  std::string_view rest = rendered.substr(begin);
  for (size_t front : leading(content))
    for (size_t back : trailing(content)) {
      if (front + back > content.size()) continue;
      std::string_view shown(content.data() + front, content.size() - front - back);
      if (!rest.starts_with(shown) || !rest.substr(shown.size()).starts_with(after)) continue;
      span.begin = begin;
      span.end = begin + shown.size();
      span.stripped = front;
      span.after = rest.substr(shown.size(), after.size());
      return true;
    }
  return false;
}

/// The text of a tool within quotes of JSON, as some templates write it; it cannot be cut into words.
bool find_quoted(std::string_view rendered, size_t begin, const ChatMessage& message, std::string_view after,
                 MessageSpan& span) {
  if (message.role == "assistant") return false;
  std::string quoted = dump_json(message.content), shown = quoted.substr(1, quoted.size() - 2);
  std::string_view rest = rendered.substr(begin);
  if (!rest.starts_with(shown) || !rest.substr(shown.size()).starts_with(after)) return false;
  span.begin = begin, span.end = begin + shown.size();
  span.after = rest.substr(shown.size(), after.size());
  return true;
}

/// Answers without a text, in the text `gap` after the message `before` (npos: before all) that begins at
/// `at`: from the end of the prompt to what the template would write after them.
void lay_calls(const ChatFrame& frame, const std::vector<ChatMessage>& messages, size_t before, size_t at,
               std::string_view rendered, std::string_view gap, std::vector<MessageSpan>& spans) {
  for (size_t i = before + 1; i < messages.size(); ++i) {
    if (!hidden(messages[i])) break;
    const std::string &prompt = frame.prompts[i], &whole = frame.ends[i];
    if (!gap.starts_with(prompt) || !gap.starts_with(whole) || whole.size() <= prompt.size())
      fail("the chat template writes the calls of message {} differently depending on what follows", i + 1);
    spans[i].answer_begin = spans[i].begin = at + prompt.size();
    spans[i].end = at + whole.size();
    spans[i].after = rendered.substr(spans[i].end, 0);
  }
}

}  // namespace

std::vector<MessageSpan> lay_frame(const ChatFrame& frame, const std::vector<ChatMessage>& messages,
                                   std::string_view rendered) {
  std::vector<MessageSpan> spans(messages.size());
  size_t at = frame.texts[0].size();
  if (!rendered.starts_with(frame.texts[0]))
    fail("the chat template begins this conversation in another way");
  lay_calls(frame, messages, std::string::npos, 0, rendered, frame.texts[0], spans);
  for (size_t k = 0; k < frame.order.size(); ++k) {
    size_t i = frame.order[k];
    const std::string &before = frame.texts[k], &prompt = frame.prompts[i], &after = frame.texts[k + 1];
    if (!find_content(rendered, at, messages[i].content, after, spans[i]) &&
        !find_quoted(rendered, at, messages[i], after, spans[i]))
      fail("the chat template changes message {} ({}) or what stands around it", i + 1,
           excerpt(messages[i].role));
    // The template may write more before an answer than the prompt contains (the model has to write that,
    // too), or the prompt may contain more than stays in the history (such as an opened block of thoughts).
    spans[i].answer_begin = at;
    if (before.starts_with(prompt))
      spans[i].answer_begin = at - before.size() + prompt.size();
    else if (!prompt.starts_with(before))
      fail("the generation prompt differs from how the template renders assistant turns (message {})", i + 1);
    lay_calls(frame, messages, i, spans[i].end, rendered, after, spans);
    at = spans[i].end + after.size();
  }
  if (at != rendered.size()) fail("the chat template ends this conversation in another way");
  return spans;
}

}  // namespace longspan
