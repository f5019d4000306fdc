// SmolLM2's own vocabulary, from its GGUF file, against the Python `tokenizers` library on 10,500 strings.
#include <filesystem>

#include "../tokenizer/golden.h"
#include "checkpoint/checkpoint.h"

namespace longspan {
namespace {

TEST(TokenizerSmolLM2, AsTokenizers) {
  auto path = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << path << " is missing; `longspan fetch smollm2` brings it";
  auto tokenizer = tokenizer_from_gguf(open_checkpoint(path).metadata, path.string());
  EXPECT_EQ(tokenizer.vocab_size(), 49152);
  EXPECT_EQ(tokenizer.stop_ids().front(), tokenizer.token_id("<|im_end|>"));
  golden::expect_equal(tokenizer, golden::strings(), golden::hashes("smollm2"), 0, golden::kStrings,
                       golden::answer_hash);
}

}  // namespace
}  // namespace longspan
