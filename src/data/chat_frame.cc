#include "data/chat_frame.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/unicode.h"

namespace longspan {

namespace {

// Letters and digits only, so that no escaping or stripping in a template changes it.
std::string marker(size_t message) { return fmt::format("longspanMessage{}Stands", message); }

std::vector<ChatMessage> marked(const std::vector<std::string>& roles, size_t count) {
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < count; ++i) messages.push_back({roles[i], marker(i)});
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

ChatFrame chat_frame(const ChatFormat& chat, const std::vector<std::string>& roles) {
  std::string text = chat.render(marked(roles, roles.size()), false);
  std::vector<size_t> places;
  for (size_t i = 0; i < roles.size(); ++i) {
    places.push_back(text.find(marker(i)));
    if (places[i] == std::string::npos || text.find(marker(i), places[i] + 1) != std::string::npos)
      fail("the chat template shows message {} ({}) {}, so it cannot be told what to train on", i + 1,
           excerpt(roles[i]), places[i] == std::string::npos ? "not at all" : "more than once");
  }
  ChatFrame frame;
  frame.order.resize(roles.size());
  std::iota(frame.order.begin(), frame.order.end(), size_t{0});
  std::sort(frame.order.begin(), frame.order.end(),
            [&](size_t a, size_t b) { return places[a] < places[b]; });
  size_t at = 0;
  for (size_t i : frame.order) {
    frame.texts.push_back(text.substr(at, places[i] - at));
    at = places[i] + marker(i).size();
  }
  frame.texts.push_back(text.substr(at));
  frame.prompts.resize(roles.size());
  frame.ends.resize(roles.size());
  for (size_t i = 0; i < roles.size(); ++i) {
    if (roles[i] != "assistant") continue;
    frame.prompts[i] = after_last_marker(chat.render(marked(roles, i), true), i);
    frame.ends[i] = after_last_marker(chat.render(marked(roles, i + 1), false), i + 1);
  }
  return frame;
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
  for (size_t front : leading(content))
    for (size_t back : trailing(content)) {
      if (front + back > content.size()) continue;
      std::string_view shown(content.data() + front, content.size() - front - back);
      std::string_view rest = rendered.substr(begin);
      if (!rest.starts_with(shown) || !rest.substr(shown.size()).starts_with(after)) continue;
      span.begin = begin;
      span.end = begin + shown.size();
      span.stripped = front;
      span.after = rest.substr(shown.size(), after.size());
      return true;
    }
  return false;
}

}  // namespace

std::vector<MessageSpan> lay_frame(const ChatFrame& frame, const std::vector<ChatMessage>& messages,
                                   std::string_view rendered) {
  std::vector<MessageSpan> spans(messages.size());
  size_t at = frame.texts[0].size();
  if (!rendered.starts_with(frame.texts[0]))
    fail("the chat template begins this conversation in another way");
  for (size_t k = 0; k < frame.order.size(); ++k) {
    size_t i = frame.order[k];
    const std::string &before = frame.texts[k], &prompt = frame.prompts[i];
    if (!find_content(rendered, at, messages[i].content, frame.texts[k + 1], spans[i]))
      fail("the chat template changes message {} ({}) or what stands around it", i + 1,
           excerpt(messages[i].role));
    // The template may write more before an answer than the prompt contains (the model has to write that,
    // too), or the prompt may contain more than stays in the history (such as an opened block of thoughts).
    spans[i].answer_begin = at;
    if (before.starts_with(prompt))
      spans[i].answer_begin = at - before.size() + prompt.size();
    else if (!prompt.starts_with(before))
      fail("the generation prompt differs from how the template renders assistant turns (message {})", i + 1);
    at = spans[i].end + frame.texts[k + 1].size();
  }
  if (at != rendered.size()) fail("the chat template ends this conversation in another way");
  return spans;
}

}  // namespace longspan
