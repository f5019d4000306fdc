// A conversation as tokens, each with a target and a weight. The loss covers what the assistant has to write
// in every turn: from the end of the generation prompt to the token that ends the turn.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/chat_frame.h"
#include "data/chat_record.h"
#include "data/row.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

/// Byte offsets in `text` at which its tokens begin, and text.size(). Within a stretch that normalization
/// changed, all tokens begin at the beginning of the stretch; the stretches are listed.
struct TokenPlaces {
  std::vector<size_t> begins;                        // ids.size() + 1
  std::vector<std::pair<size_t, size_t>> unaligned;  // [begin, end) of bytes
};
TokenPlaces token_places(const Tokenizer& tokenizer, std::string_view text, const std::vector<int32_t>& ids);

struct ConversationWeights {
  double answer = 1;  // what the assistant writes
  double text = 0;    // contents of the other messages; the template's words always have 0
  // Above 0: the other messages together have this share of the conversation's weight, each of their tokens
  // as much as any other, whatever `text` says.
  double text_share = 0;
};

struct Conversation {
  std::string id;
  std::vector<int32_t> ids, targets;  // target -1: none
  std::vector<float> weights;
};

/// A context and what follows it: each row is a question about it and the answer, tokenised apart from it.
struct FrozenConversation {
  std::string id;
  std::vector<int32_t> context;
  std::vector<Conversation> rows;
};

/// Makes conversations; thread-safe. Frames of messages without other fields are cached by
/// roles, because many conversations share theirs.
class ConversationMaker {
 public:
  /// Both must outlive the maker.
  ConversationMaker(const Tokenizer& tokenizer, const ChatFormat& chat)
      : tokenizer_(tokenizer), chat_(chat) {}

  /// `record`: as chat_record.h says, for example {"messages": [{"role", "content"}, ...]}; the spans
  /// [begin, end) of characters of its first message that its "masked" lists weigh 0. A template that writes
  /// no end of a turn has its answers' last token predict the tokenizer's eos. Error without "FILE:LINE"
  /// saying what is wrong with the record.
  Conversation make(const Json& record, const ConversationWeights& weights) const;

  /// The record's first message up to its "question_at" (a number of characters), and its questions, each as
  /// if it alone stood behind that context in the first message, with its answer: rows of a frozen context.
  /// White space before the first question belongs to the rows. Error as above, and where users and
  /// assistants do not alternate.
  FrozenConversation make_frozen(const Json& record, const ConversationWeights& weights) const;

 private:
  struct Laid;
  void lay(const std::vector<ChatTurn>& turns, const Json& tools, Laid& laid) const;
  Conversation weigh(const Laid& laid, const ChatRecord& chat, const std::vector<ChatTurn>& turns,
                     const Json* masked, const ConversationWeights& weights, size_t from) const;
  std::shared_ptr<const ChatFrame> frame(const std::vector<ChatMessage>& messages, const Json& tools) const;
  const std::string& joiner() const;
  size_t answer_end(const MessageSpan& span, const std::string& end, bool calls,
                    const std::vector<int32_t>& ids, const TokenPlaces& places) const;

  const Tokenizer& tokenizer_;
  const ChatFormat& chat_;
  mutable std::mutex mutex_;
  mutable std::map<std::vector<std::string>, std::shared_ptr<const ChatFrame>> frames_;
  mutable std::optional<std::string> joiner_;  // of the parts of a content
};

}  // namespace longspan
