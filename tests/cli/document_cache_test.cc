// Which tokens of a prompt belong to its document whatever is asked, and the length that questions share.
#include "cli/document_cache.h"

#include <gtest/gtest.h>

namespace longspan {
namespace {

using cli::PromptAbout, cli::shared_length, cli::shared_tokens;

/// Tokens of `size` bytes each, counted from the beginning.
std::vector<int32_t> tokens(const std::string& text, size_t size) {
  std::vector<int32_t> ids;
  for (size_t at = 0; at < text.size(); at += size) {
    int32_t id = 0;
    for (char c : text.substr(at, size)) id = id * 256 + static_cast<unsigned char>(c);
    ids.push_back(id);
  }
  return ids;
}

std::string text_of(const std::string& document, const std::string& question) {
  return "<user>" + document + " Question: " + question + "<end>";
}

std::string story(int lines) {
  std::string text;
  for (int i = 0; i < lines; ++i) text += "line " + std::to_string(i) + " of a long story\n";
  return text;
}

TEST(SharedTokens, ALongDocumentIsSplitOnce) {
  const std::string document = story(2000), question = "who wrote it?";
  int whole = 0;
  PromptAbout prompt = [&](const std::string& text, const char* other) {
    whole += text == document;
    return tokens(text_of(text, other ? other : question), 1);
  };
  std::vector<int32_t> ids = tokens(text_of(document, question), 1);
  int64_t before_question = std::ssize(text_of(document, "")) - std::ssize(std::string("<end>"));
  EXPECT_EQ(shared_tokens(ids, document, prompt), before_question);
  EXPECT_EQ(whole, 0) << "it was split again";
}

// Tokens of three bytes from the beginning of the text on: its end alone is split in another way unless it
// happens to begin between two of them.
TEST(SharedTokens, AnEndThatIsSplitDifferentlyDoesNotDecide) {
  for (int more = 0; more < 3; ++more) {
    const std::string document = story(2000) + std::string(static_cast<size_t>(more), '.'), question = "who?";
    PromptAbout prompt = [&](const std::string& text, const char* other) {
      return tokens(text_of(text, other ? other : question), 3);
    };
    std::vector<int32_t> ids = tokens(text_of(document, question), 3);
    int64_t before_question = std::ssize(text_of(document, "")) - std::ssize(std::string("<end>"));
    EXPECT_EQ(shared_tokens(ids, document, prompt), before_question / 3) << more;
  }
}

TEST(SharedLength, GrowsInStepsAbove) {
  EXPECT_EQ(shared_length(0, 700), 700);
  EXPECT_EQ(shared_length(1000, 1100), 1512);
  EXPECT_EQ(shared_length(1000, 1512), 1512);
  EXPECT_EQ(shared_length(1000, 1513), 2024);
  EXPECT_EQ(shared_length(1000, 2500), 3048);
}

}  // namespace
}  // namespace longspan
