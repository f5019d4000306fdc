#include "data/conversation.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

/// How many bytes of `text` the token's `bytes` account for: all of them, all but a space that the tokenizer
/// put before a word, or npos when `text` does not begin with them.
size_t matched(std::string_view text, std::string_view bytes) {
  if (text.starts_with(bytes)) return bytes.size();
  if (bytes.starts_with(' ') && text.starts_with(bytes.substr(1))) return bytes.size() - 1;
  return std::string_view::npos;
}

}  // namespace

TokenPlaces token_places(const Tokenizer& tokenizer, std::string_view text, const std::vector<int32_t>& ids) {
  TokenPlaces places;
  size_t at = 0;
  bool lost = false;
  for (int32_t id : ids) {
    size_t begin = at;
    if (tokenizer.is_special(id)) {
      std::string spelling = tokenizer.token_text(id);
      size_t found = text.find(spelling, at);
      // White space next to a special token may be swallowed by it; any other difference cannot be aligned.
      if (found != std::string_view::npos && (lost || blank(text.substr(at, found - at)))) {
        if (lost) places.unaligned.back().second = found;
        lost = false;
        begin = found;
        at = found + spelling.size();
        places.begins.push_back(begin);
        continue;
      }
    } else if (!lost) {
      if (size_t n = matched(text.substr(at), tokenizer.token_bytes(id)); n != std::string_view::npos) {
        at += n;
        places.begins.push_back(begin);
        continue;
      }
    }
    if (!lost) places.unaligned.emplace_back(at, text.size());
    lost = true;
    places.begins.push_back(at);
  }
  if (!lost && !blank(text.substr(at))) places.unaligned.emplace_back(at, text.size());
  places.begins.push_back(text.size());
  return places;
}

namespace {

/// The record's "masked" as byte spans of the rendered text.
std::vector<std::pair<size_t, size_t>> masked_of(const Json& record, const std::string& content,
                                                 const MessageSpan& span) {
  std::vector<std::pair<size_t, size_t>> masked;
  auto found = record.find("masked");
  if (found == record.end() || found->is_null()) return masked;
  std::vector<size_t> offsets;  // of each character in the content, and its size
  for (size_t i = 0; i < content.size(); next_code_point(content, i)) offsets.push_back(i);
  offsets.push_back(content.size());
  auto place = [&](const Json& character) {
    size_t offset = offsets[character.get<size_t>()];
    return std::clamp(offset + span.begin, span.begin + span.stripped, span.end + span.stripped) -
           span.stripped;
  };
  auto is_place = [&](const Json& n) {
    return n.is_number_integer() && n.get<int64_t>() >= 0 && n.get<uint64_t>() < offsets.size();
  };
  if (!found->is_array()) fail("has \"masked\" that is no list of [begin, end]");
  for (const Json& pair : *found) {
    if (!pair.is_array() || pair.size() != 2 || !is_place(pair[0]) || !is_place(pair[1]))
      fail("has a span in \"masked\" that is not [begin, end] within the first message's {} characters",
           offsets.size() - 1);
    masked.emplace_back(place(pair[0]), place(pair[1]));
  }
  return masked;
}

/// If only white space precedes the answer's first byte in the token that contains it ("▁the" of "assistant:
/// the"), that token is the answer's first: where it begins. Otherwise `begin`.
size_t with_blank(std::string_view text, size_t begin, const TokenPlaces& places) {
  auto next = std::lower_bound(places.begins.begin(), places.begins.end(), begin);
  if (next == places.begins.begin() || *next == begin) return begin;
  size_t before = *(next - 1);
  return blank(text.substr(before, begin - before)) ? before : begin;
}

struct Weighted {
  size_t begin = 0, end = 0;
  float weight = 0;
  bool touched = false;  // counts a token that begins before the span and reaches into it
  bool given = false;    // text that nobody has to write
};

/// Scales the weights of what is `given` (of the token after each) so that it has `share` of their sum.
void share_weight(std::vector<float>& weights, const std::vector<bool>& given, double share) {
  double text = 0, answers = 0;
  for (size_t t = 0; t < weights.size(); ++t)
    (t + 1 < given.size() && given[t + 1] ? text : answers) += static_cast<double>(weights[t]);
  if (text == 0 || answers == 0) return;
  auto factor = static_cast<float>(share / (1 - share) * answers / text);
  for (size_t t = 0; t + 1 < weights.size(); ++t)
    if (given[t + 1]) weights[t] *= factor;
}

/// The byte of the first message at which its question begins, from the record's "question_at".
size_t question_place(const Json& record, std::string_view content) {
  auto found = record.find("question_at");
  if (found == record.end())
    fail(
        "has no \"question_at\", the character of its first message at which the question begins; corpus "
        "synth "
        "writes it");
  if (!found->is_number_integer() || found->get<int64_t>() <= 0)
    fail("has a \"question_at\" that is not a number of characters");
  size_t at = 0;
  for (auto left = found->get<int64_t>(); left > 0; --left) {
    if (at >= content.size()) fail("has a \"question_at\" beyond its first message");
    next_code_point(content, at);
  }
  if (at == content.size()) fail("has a \"question_at\" beyond its first message");
  return at;
}

void check_aligned(const TokenPlaces& places, size_t border) {
  for (auto [begin, end] : places.unaligned)
    if (begin < border && border < end)
      fail("the tokenizer rewrites text across the edge of an answer or masked span");
}

}  // namespace

const std::string& ConversationMaker::joiner() const {
  std::lock_guard lock(mutex_);
  if (!joiner_) joiner_ = part_joiner(chat_);
  return *joiner_;
}

std::shared_ptr<const ChatFrame> ConversationMaker::frame(const std::vector<ChatMessage>& messages,
                                                          const Json& tools) const {
  std::vector<std::string> roles;
  for (const ChatMessage& m : messages) {
    if (m.fields.is_object() || !tools.is_null())
      return std::make_shared<ChatFrame>(chat_frame(chat_, messages, tools));
    roles.push_back(m.role);
  }
  std::lock_guard lock(mutex_);
  std::shared_ptr<const ChatFrame>& known = frames_[roles];
  if (!known) known = std::make_shared<ChatFrame>(chat_frame(chat_, messages, tools));
  return known;
}

/// The first special token after the answer ends it (of an answer that calls tools the last one: its calls
/// may hold some); if there is none, what the template would write at the end of the conversation ends it.
size_t ConversationMaker::answer_end(const MessageSpan& span, const std::string& end, bool calls,
                                     const std::vector<int32_t>& ids, const TokenPlaces& places) const {
  bool hidden = calls && span.answer_begin == span.begin && span.after.empty();
  bool whole = hidden || span.after.starts_with(end);
  size_t from = hidden ? span.begin : span.end;
  size_t limit = hidden ? span.end : span.end + (whole ? end.size() : span.after.size());
  const std::vector<int32_t> stops = tokenizer_.stop_ids();
  size_t last = 0;
  auto t = std::lower_bound(places.begins.begin(), places.begins.end(), from) - places.begins.begin();
  for (auto i = static_cast<size_t>(t); i < ids.size() && places.begins[i] < limit; ++i) {
    if (!tokenizer_.is_special(ids[i]) && std::find(stops.begin(), stops.end(), ids[i]) == stops.end())
      continue;
    last = places.begins[i + 1];
    if (!calls || !whole) return last;
  }
  if (last > 0) return last;
  if (!whole) fail("the template ends this answer differently depending on what follows");
  return limit;
}

/// A rendered conversation and where its messages are; the spans view the text.
struct ConversationMaker::Laid {
  std::vector<ChatMessage> messages;
  std::shared_ptr<const ChatFrame> frame;
  std::string text;
  std::vector<MessageSpan> spans;
};

void ConversationMaker::lay(const std::vector<ChatTurn>& turns, const Json& tools, Laid& laid) const {
  for (const ChatTurn& turn : turns) laid.messages.push_back(turn.message);
  laid.frame = frame(laid.messages, tools);
  laid.text = chat_.render(laid.messages, false, tools);
  laid.spans = lay_frame(*laid.frame, laid.messages, laid.text);
}

/// The tokens of the text from byte `from` on. `masked`: the record whose "masked" counts, or null.
Conversation ConversationMaker::weigh(const Laid& laid, const ChatRecord& chat,
                                      const std::vector<ChatTurn>& turns, const Json* masked,
                                      const ConversationWeights& weights, size_t from) const {
  const auto& [messages, around, text, spans] = laid;
  Conversation result;
  std::string_view wanted = std::string_view(text).substr(from);
  result.ids = encode_chat(tokenizer_, wanted);
  TokenPlaces places = token_places(tokenizer_, wanted, result.ids);
  for (size_t& begin : places.begins) begin += from;
  for (auto& [begin, end] : places.unaligned) begin += from, end += from;

  std::vector<Weighted> weighted;
  std::vector<std::pair<size_t, float>> eos_after;  // ends of answers after which the template writes nothing
  double text_weight = weights.text_share > 0 ? 1 : weights.text;
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatTurn& turn = turns[i];
    bool answer = messages[i].role == "assistant", learnt = answer || turn.chosen;
    double weight = (learnt ? weights.answer : text_weight) * turn.weight * chat.weight;
    Weighted w{spans[i].begin, spans[i].end, static_cast<float>(weight), false, !learnt};
    if (answer) {
      w.begin = spans[i].answer_begin;
      w.end = answer_end(spans[i], around->ends[i], turn.calls, result.ids, places);
      if (around->ends[i].empty()) eos_after.emplace_back(w.end, w.weight);
    }
    check_aligned(places, w.begin);
    check_aligned(places, w.end);
    w.begin = with_blank(text, w.begin, places);
    weighted.push_back(w);
  }
  if (masked)
    for (auto [begin, end] : masked_of(*masked, messages[chat.first].content, spans[chat.first])) {
      check_aligned(places, begin);
      check_aligned(places, end);
      weighted.push_back({begin, end, 0, true});
    }

  size_t n = result.ids.size();
  result.targets.assign(n, -1);
  result.weights.assign(n, 0);
  std::vector<float> own(n, 0);       // weight of each token as a target
  std::vector<bool> given(n, false);  // whether it belongs to the text
  const auto& begins = places.begins;
  for (const Weighted& w : weighted) {
    auto t = std::lower_bound(begins.begin(), begins.end() - 1, w.begin) - begins.begin();
    if (w.touched && t > 0 && begins[static_cast<size_t>(t)] > w.begin) --t;
    for (auto i = static_cast<size_t>(t); i < n && begins[i] < w.end; ++i)
      own[i] = w.weight, given[i] = w.given;
  }
  for (size_t t = 0; t + 1 < n; ++t) {
    result.targets[t] = result.ids[t + 1];
    result.weights[t] = own[t + 1];
  }
  int32_t eos = tokenizer_.eos_id();
  if (const std::vector<int32_t> stops = tokenizer_.stop_ids(); eos < 0 && !stops.empty())
    eos = stops.front();
  for (auto [end, weight] : eos_after) {
    auto next = static_cast<size_t>(std::lower_bound(begins.begin(), begins.end() - 1, end) - begins.begin());
    if (next == 0 || eos < 0) continue;
    result.targets[next - 1] = eos;
    result.weights[next - 1] = weight;
    if (next < n) given[next] = false;
  }
  if (weights.text_share > 0) share_weight(result.weights, given, weights.text_share);
  bool learnt = std::any_of(result.weights.begin(), result.weights.end(), [](float w) { return w > 0; });
  if (!learnt && weights.answer > 0) fail("has nothing to learn: all its turns have weight 0");
  return result;
}

Conversation ConversationMaker::make(const Json& record, const ConversationWeights& weights) const {
  ChatRecord chat = read_chat_record(record, joiner());
  Laid laid;
  lay(chat.turns, chat.tools, laid);
  return weigh(laid, chat, chat.turns, &record, weights, 0);
}

FrozenConversation ConversationMaker::make_frozen(const Json& record,
                                                  const ConversationWeights& weights) const {
  static const std::string kContext = "longspanContextStands";
  ChatRecord chat = read_chat_record(record, joiner());
  const std::vector<ChatTurn>& turns = chat.turns;
  for (size_t i = chat.first; i < turns.size(); ++i)
    if (turns[i].message.role != ((i - chat.first) % 2 == 0 ? "user" : "assistant") || turns[i].calls)
      fail("cannot be questions about a frozen context: users and assistants do not alternate");
  if ((turns.size() - chat.first) % 2 != 0 || turns.size() == chat.first)
    fail("cannot be questions about a frozen context: a question has no answer");
  std::string first = turns[chat.first].message.content;
  size_t question = question_place(record, first), end = question;
  while (end > 0 && blank(std::string_view(first).substr(end - 1, 1))) --end;
  if (end == 0) fail("has an empty context before its \"question_at\"");
  const std::string blanks = first.substr(end, question - end);

  FrozenConversation result;
  std::string before;  // what the template writes before the context
  for (size_t i = chat.first; i < turns.size(); i += 2) {
    std::vector<ChatTurn> row(turns.begin(), turns.begin() + static_cast<std::ptrdiff_t>(chat.first));
    row.push_back(turns[i]), row.push_back(turns[i + 1]);
    std::string asked = i == chat.first ? first.substr(question) : turns[i].message.content;
    auto lay_behind = [&](const std::string& context, Laid& laid) {
      row[chat.first].message.content = context + blanks + asked;
      lay(row, chat.tools, laid);
    };
    Laid whole, laid;
    if (i == chat.first) {
      lay_behind(first.substr(0, end), whole);
      const MessageSpan& span = whole.spans[chat.first];
      before = whole.text.substr(0, span.begin);
      result.context =
          encode_chat(tokenizer_, std::string_view(whole.text).substr(0, span.begin + end - span.stripped));
    }
    lay_behind(kContext, laid);
    if (laid.text.substr(0, laid.spans[chat.first].begin) != before)
      fail("cannot be questions about a frozen context: the template writes differently before each of them");
    size_t from = laid.spans[chat.first].begin + kContext.size();
    result.rows.push_back(weigh(laid, chat, row, nullptr, weights, from));
  }
  return result;
}

}  // namespace longspan
