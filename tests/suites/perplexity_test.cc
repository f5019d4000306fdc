// The windows of each recipe, counted out by hand on a text whose tokens are its characters.
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "suites/fixture.h"

namespace longspan {
namespace {

constexpr int64_t kTokens = 50;

class Perplexity : public SuiteTest {
 protected:
  void SetUp() override {
    SuiteTest::SetUp();
    ASSERT_EQ(std::ssize(text_), kTokens);
    data_ = write("text.txt", text_);
    open(Json::object());
  }
  /// With these settings of the tokenizer.
  void open(const Json& tokenizer) { prompts_ = byte_prompts(tokenizer); }
  std::vector<Case> make(const Json& settings, const std::string& combine = "", int64_t limit = 0) {
    task_.name = "t";
    task_.combine = combine;
    task_.make = settings;
    MakeContext context{prompts_, nullptr, {}};
    context.data = data_;
    context.limit = limit;
    context.window = 64;
    return make_perplexity_cases(task_, context);
  }
  std::string fault(const Json& settings, const std::string& combine = "") {
    try {
      make(settings, combine);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  /// "BEGIN-END FROM" of the text's tokens in each window, "^" where a BOS stands before them.
  std::vector<std::string> windows(const std::vector<Case>& cases) {
    std::vector<std::string> found;
    for (const Case& c : cases) {
      CaseText text = c.text();
      bool bos = text.ids.front() == prompts_.tokenizer.bos_id();
      std::string read = prompts_.tokenizer.decode(std::span(text.ids).subspan(bos ? 1 : 0));
      size_t begin = text_.find(read);
      EXPECT_NE(begin, text_.npos);
      found.push_back(fmt::format("{}{}-{} {}", bos ? "^" : "", begin, begin + read.size(), text.from));
      EXPECT_LE(std::ssize(text.ids), c.length);
      EXPECT_EQ(c.kind, CaseKind::Loss);
      EXPECT_EQ(c.source, data_);
    }
    return found;
  }
  /// How often each token of the text counts.
  std::vector<int> counts(const std::vector<Case>& cases) {
    std::vector<int> counted(text_.size(), 0);
    for (const Case& c : cases) {
      CaseText text = c.text();
      bool bos = text.ids.front() == prompts_.tokenizer.bos_id();
      size_t begin = text_.find(prompts_.tokenizer.decode(std::span(text.ids).subspan(bos ? 1 : 0)));
      for (int64_t i = text.from; i < std::ssize(text.ids); ++i)
        ++counted[begin + static_cast<size_t>(i - (bos ? 1 : 0))];
    }
    return counted;
  }

  using Strings = std::vector<std::string>;
  std::string text_ = "abcdefghijklmnopqrstuvwxyz0123456789.,?:RTQacegikm", data_;
  Task task_;
};

const Json kBos = {{"bos_token", "<|start|>"}, {"add_bos_token", true}};
const Json kSilentBos = {{"bos_token", "<|start|>"}, {"add_bos_token", false}};

TEST_F(Perplexity, StrictCountsEachTokenOnce) {
  auto cases = make({{"lengths", 16}, {"stride", 6}});
  EXPECT_EQ(windows(cases),
            (Strings{"0-16 1", "6-22 10", "12-28 10", "18-34 10", "24-40 10", "30-46 10", "36-50 10"}));
  std::vector<int> once(kTokens, 1);
  once[0] = 0;  // nothing stands before it
  EXPECT_EQ(counts(cases), once);
  EXPECT_EQ(cases[3].id, "t/16/3");
  EXPECT_EQ(cases[3].cell, (Cell{{{"document", data_}, {"length", 16}, {"window", 3}}}));
  EXPECT_EQ(windows(make({{"lengths", 16}, {"windows", 2}})), (Strings{"0-16 1", "8-24 8"}));
  EXPECT_EQ(windows(make({{"lengths", {16, 32}}}, "", 1)), (Strings{"0-16 1", "0-32 1"}));
}

TEST_F(Perplexity, StrictBeginsWindowsAsTheTokenizerBeginsTexts) {
  open(kBos);
  auto cases = make({{"lengths", 16}, {"stride", 6}});
  EXPECT_EQ(windows(cases)[0], "^0-15 1");
  EXPECT_EQ(windows(cases)[1], "^6-21 10");  // 10 tokens before it, BOS among them: L - S
  EXPECT_EQ(counts(cases), std::vector<int>(kTokens, 1));
  open(kSilentBos);
  EXPECT_EQ(windows(make({{"lengths", 16}, {"stride", 6}}))[0], "0-16 1");
}

TEST_F(Perplexity, YarnPutsItsBosBeforeEveryWindow) {
  open(kSilentBos);
  Json settings = {{"recipe", "yarn"}, {"lengths", 16}, {"stride", 10}};
  auto cases = make(settings, "window_mean");
  EXPECT_EQ(windows(cases), (Strings{"^0-15 1", "^10-25 6", "^20-35 6", "^30-45 6", "^40-50 6"}));
  EXPECT_EQ(counts(cases), std::vector<int>(kTokens, 1));
  settings["truncate"] = true;
  EXPECT_EQ(windows(make(settings, "window_mean")), (Strings{"^0-15 1"}));
  EXPECT_NE(fault(settings).find("window_mean"), std::string::npos);
  EXPECT_NE(fault({{"lengths", 16}}, "window_mean").find("window_mean"), std::string::npos);
}

TEST_F(Perplexity, LongLoraCountsWholeWindowsAndDropsTheLast) {
  open(kBos);
  // n - L is 34: windows would begin at 0, 8, 16, 24, 32.
  auto cases = make({{"recipe", "longlora"}, {"lengths", 16}, {"stride", 8}}, "window_mean");
  EXPECT_EQ(windows(cases), (Strings{"0-16 1", "8-24 1", "16-32 1", "24-40 1"}));
  EXPECT_NE(fault({{"recipe", "longlora"}, {"lengths", 16}}, "window_mean").find("more than 272 tokens"),
            std::string::npos);
}

TEST_F(Perplexity, PlacesOfACurveMaySpreadFromEndToEnd) {
  Json curve = {{"kind", "curve"}, {"lengths", 8}, {"tail", 4}, {"windows", 3}, {"spread", "ends"}};
  EXPECT_EQ(windows(make(curve)), (Strings{"0-8 4", "21-29 4", "42-50 4"}));
  curve["windows"] = 2, curve["longest"] = 32;
  EXPECT_EQ(windows(make(curve)), (Strings{"24-32 4", "42-50 4"}));
  EXPECT_FALSE(make(curve)[0].text().whole_curve);
  curve["whole"] = true;
  EXPECT_TRUE(make(curve)[0].text().whole_curve);
  curve["windows"] = 6;
  EXPECT_NE(fault(curve).find("do not fit"), std::string::npos);  // 18 tokens behind the first for 5 x 4
}

TEST_F(Perplexity, TheCurveCountsTheSameTokensAtEachLength) {
  auto cases = make({{"kind", "curve"}, {"lengths", {8, 16, 32}}, {"tail", 4}, {"windows", 2}});
  EXPECT_EQ(windows(cases), (Strings{"33-41 4", "42-50 4", "25-41 12", "34-50 12", "9-41 28", "18-50 28"}));
  std::map<int64_t, std::string> tails;  // by window
  for (const Case& c : cases) {
    CaseText text = c.text();
    auto tail = prompts_.tokenizer.decode(std::span(text.ids).subspan(static_cast<size_t>(text.from)));
    EXPECT_EQ(tails.try_emplace(*c.cell.at("window").whole(), tail).first->second, tail);
  }
  EXPECT_EQ(tails.size(), 2u);
  EXPECT_NE(fault({{"kind", "curve"}, {"lengths", 48}, {"tail", 4}, {"windows", 2}}).find("do not fit"),
            std::string::npos);
  std::vector<Case> none = make({{"kind", "curve"}, {"lengths", 8}, {"tail", 8}});
  ASSERT_EQ(none.size(), 1u);
  EXPECT_NE(none[0].too_short.find("8 tokens leave nothing before the last 8 that count"), std::string::npos);
}

TEST_F(Perplexity, DocumentsThatAreTooShortArePassedOver) {
  EXPECT_NE(fault({{"lengths", 51}}).find("51 tokens is needed, but the longest of 1 has 50"),
            std::string::npos);
  data_ = write("two.jsonl", dump_json({{"text", "short"}}) + "\n" +
                                 dump_json({{"text", text_}, {"title", "long"}}) + "\n");
  task_.name = "t";
  auto cases = make({{"lengths", 32}, {"windows", 1}});
  ASSERT_EQ(cases.size(), 1u);
  EXPECT_EQ(cases[0].cell.at("document"), "long");
  EXPECT_EQ(cases[0].source, data_ + ":2");
  EXPECT_EQ(make({{"lengths", 4}, {"windows", 1}, {"samples", 1}})[0].source, data_ + ":1");
  EXPECT_THROW(make({{"lengths", 4}, {"text", "nowhere.txt"}}), MissingData);
  data_ = write("bad.jsonl", "{\"text\": 3}\n");
  EXPECT_NE(fault({{"lengths", 4}}).find("bad.jsonl:1"), std::string::npos);
}

TEST_F(Perplexity, TheSuiteReadsItsOwnText) {
  for (const char* dialect : {"strict", "yarn", "longlora"}) {
    Suite suite = read_suite("perplexity", dialect, {}, {"make.samples=1", "make.windows=1"});
    std::vector<std::string> missing;
    MakeContext context{prompts_, nullptr, {}};
    context.window = 2048;
    auto cases = make_cases(suite, context, missing);
    ASSERT_EQ(cases.size(), 3u) << dialect;  // sliding at 2,048; the curve at 1,024 and 2,048
    for (const Case& c : cases) EXPECT_LE(c.text().ids.size(), 2048u);
    EXPECT_EQ(cases[2].length, 2048);
    EXPECT_EQ(std::ssize(cases[2].text().ids) - cases[2].text().from, 512);
  }
}

}  // namespace
}  // namespace longspan
