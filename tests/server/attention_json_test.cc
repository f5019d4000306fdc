// Windows of a prompt by their part of the attention, with the page of the document that they stand on.
#include "server/attention_json.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "checkpoint/checkpoint.h"

namespace longspan::server {
namespace {

TEST(AttendedWindows, NameFilePageAndChapter) {
  auto path = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << path << " is missing; `longspan fetch smollm2` brings it";
  auto tokenizer = tokenizer_from_gguf(open_checkpoint(path).metadata, path.string());
  // A word is a token, so that the third window begins behind the marks.
  std::string text = "Read the text.\n";
  for (int i = 0; i < 40; ++i) text += " hello";
  text += "\n[file: a.pdf]\n[page 7]\n";
  for (int i = 0; i < 40; ++i) text += " hello";
  text += "\n[page 8]\n";
  for (int i = 0; i < 40; ++i) text += " hello";
  text += "\n[file: b.epub]\n[chapter 2]\n";
  for (int i = 0; i < 40; ++i) text += " hello";
  std::vector<int32_t> ids = tokenizer.encode(text);
  std::vector<float> mass(ids.size(), 0);
  // One token in each of four windows; shares 4, 3, 2 and 1 of 10.
  size_t windows[] = {0, 2, 4, 5};
  for (size_t i = 0; i < 4; ++i) mass[windows[i] * 32] = static_cast<float>(4 - i);
  Json found = attended_windows(tokenizer, ids, mass);
  ASSERT_EQ(found.size(), (ids.size() + 31) / 32);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(found[i]["share"].get<double>(), 0.1 * static_cast<double>(4 - i), 1e-6);
  EXPECT_TRUE(found[0]["text"].get<std::string>().starts_with("Read the text."));
  for (const char* field : {"file", "page", "chapter"}) EXPECT_FALSE(found[0].contains(field)) << field;
  EXPECT_EQ(found[1]["file"], "a.pdf");
  EXPECT_EQ(found[1]["page"], 7);
  EXPECT_FALSE(found[1].contains("chapter"));
  EXPECT_EQ(found[2]["page"], 8);
  EXPECT_EQ(found[3]["file"], "b.epub");
  EXPECT_EQ(found[3]["chapter"], 2);
  EXPECT_FALSE(found[3].contains("page"));
}

}  // namespace
}  // namespace longspan::server
