// What the tests of suites share: files of the test's own, and a tokenizer whose tokens are bytes with a chat
// template. No model: suites need words only.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "data/tokenizers.h"
#include "suites/cases.h"
#include "suites/prompt.h"

namespace longspan {

namespace fs = std::filesystem;

constexpr const char* kTestTemplate =
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

/// Bytes as tokens; `config` is what tokenizer_config.json says beside the eos.
inline PromptMaker byte_prompts(const Json& config = Json::object(),
                                const std::string& chat_template = kTestTemplate) {
  return {byte_tokenizer({"<|start|>", "<|end|>"}, "<|end|>", 0, config),
          {.chat_template = ChatTemplate(chat_template, "test template")}};
}

class SuiteTest : public FilesTest {
 protected:
  std::string write(const std::string& name, const std::string& bytes) {
    return FilesTest::write(name, bytes).string();
  }

  PromptMaker prompts_ = byte_prompts();
};

inline std::vector<Case> cases_of(const PromptMaker& prompts, const Suite& suite, int64_t limit = 0,
                                  uint64_t seed = 0) {
  std::vector<std::string> missing;
  return make_cases(suite, {.prompts = prompts, .seed = seed, .limit = limit}, missing);
}

inline size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != text.npos; ++at) ++n;
  return n;
}

/// What a sequence reads that keeps what the next prompt begins with, as part of all tokens; every prompt is
/// looked at on the way.
inline double part_read(const PromptMaker& prompts, const Suite& suite) {
  int64_t tokens = 0, read = 0, slack = 0;
  std::vector<int32_t> before;
  std::vector<Case> cases = cases_of(prompts, suite);
  for (const Case& one : cases) {
    const Task& task = suite.tasks[one.task];
    CaseText text = one.text();
    std::vector<int32_t> ids = make_prompt(prompts, task, text, one.length - task.new_tokens).ids;
    auto shared = std::mismatch(ids.begin(), ids.end(), before.begin(), before.end()).first - ids.begin();
    tokens += std::ssize(ids);
    read += std::ssize(ids) - shared;
    slack += one.length - task.new_tokens - std::ssize(ids);
    EXPECT_EQ(count(text.user, text.references.at(0)), 1u) << one.id;
    before = ids;
  }
  // Less than a sentence is missing.
  EXPECT_LT(slack / std::ssize(cases), 200) << suite.name;
  return static_cast<double>(read) / static_cast<double>(tokens);
}

}  // namespace longspan
