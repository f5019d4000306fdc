// What the tests of synthetic conversations share: small documents made here, and jobs over them.
#pragma once

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "base/error.h"
#include "data/loader.h"
#include "data/tokenizers.h"
#include "documents/records.h"
#include "synth/synth.h"
#include "synth/templates.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

// Words of the needles, prompts and keys of evaluations (RULER, NeedleBench, the haystack test and our own
// grid's needles, pass keys, LongChat, LongBench, InfiniteBench, lost in the middle, NoLiMa).
const std::vector<std::string> kForbidden = {"san francisco",
                                             "sandwich",
                                             "dolores",
                                             "sunny day",
                                             "special magic",
                                             "magic number",
                                             "pass key",
                                             "passkey",
                                             "register_content",
                                             "line <",
                                             "hidden on",
                                             "legendary",
                                             "mysterious island",
                                             "star system",
                                             "ruler of the",
                                             "first band",
                                             "band to play",
                                             "on the moon",
                                             "grass is green",
                                             "sky is blue",
                                             "sun is yellow",
                                             "there and back again",
                                             "important info hidden",
                                             "memorize",
                                             "quiz you",
                                             "secret",
                                             "specified key",
                                             "corresponding to the",
                                             "json object",
                                             "json data",
                                             "abstract is from",
                                             "paragraph",
                                             "unique",
                                             "after removing duplicates",
                                             "semper opera",
                                             "lives next to",
                                             "variable",
                                             "needle",
                                             "hidden within",
                                             "do not provide any explanation",
                                             "best thing to do",
                                             "brannock",
                                             "magenta",
                                             "velmora",
                                             "cardamom",
                                             "lake orsk",
                                             "patient heron",
                                             "tamsin wexley",
                                             "barometer",
                                             "brake fluid",
                                             "farrier",
                                             "forklift",
                                             "rosehip",
                                             "corvane",
                                             "organ loft",
                                             "plum dumplings",
                                             "inlet pressure",
                                             "weighbridge",
                                             "heifer",
                                             "chandler",
                                             "sexton",
                                             "ear trumpet",
                                             "magpie",
                                             "kerslake",
                                             "ox blood",
                                             "旧金山",
                                             "三明治",
                                             "传说中",
                                             "隐藏",
                                             "月球",
                                             "星系",
                                             "主宰",
                                             "乐队是",
                                             "魔法数字",
                                             "密码",
                                             "通行",
                                             "摘要",
                                             "去除重复"};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

inline void expect_allowed(const std::string& text) {
  std::string low = lower(text);
  for (const std::string& phrase : kForbidden)
    EXPECT_EQ(low.find(phrase), std::string::npos) << phrase << " in " << text.substr(0, 300);
}

size_t count(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; ++at) ++n;
  return n;
}

/// Characters [begin, end) as bytes, and where they begin.
std::pair<size_t, std::string> characters(const std::string& text, const Json& span) {
  std::vector<size_t> at;
  for (size_t i = 0; i < text.size(); next_code_point(text, i)) at.push_back(i);
  at.push_back(text.size());
  size_t begin = at.at(span[0].get<size_t>()), end = at.at(span[1].get<size_t>());
  return {begin, text.substr(begin, end - begin)};
}

inline std::string testing_error(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline double han_part(const std::string& text) {
  double han = 0, letters = 0;
  for (size_t i = 0; i < text.size();) {
    char32_t c = next_code_point(text, i);
    han += c >= 0x4E00 && c <= 0x9FFF;
    letters += (c < 0x80 && std::isalpha(static_cast<int>(c))) || (c >= 0x4E00 && c <= 0x9FFF);
  }
  return letters > 0 ? han / letters : 0;
}

class Synth : public FilesTest {
 protected:
  void SetUp() override {
    FilesTest::SetUp();
    job_.documents = {write("documents.jsonl", documents())};
    job_.questions = {write("questions.jsonl", articles())};
    novel_ = write("novel.jsonl", novel());
    job_.code = {write("code.jsonl", code())};
    job_.instructions = {write("instructions.jsonl", instructions())};
    job_.target_tokens = 12000;
    job_.turns = 8;
  }

  /// Six documents of chapters of sentences of which each is told from all others by a number.
  std::string documents() {
    std::string lines;
    for (int d = 0; d < 6; ++d) {
      bool zh = d % 2;
      std::string text;
      for (int i = 0; i < 400; ++i) {
        if (i % 40 == 0)
          text += fmt::format(fmt::runtime(zh ? "\n\n第{}回\n\n" : "\n\nChapter {}\n\n"), i / 40 + 1);
        text += fmt::format(
            fmt::runtime(zh ? "这是书中第{}个句子，写的是{}号农夫在田里劳动的情形。"
                            : "Sentence {} of the book tells how farmer {} walked over the fields. "),
            d * 1000 + i, d * 7919 + i * 31);
        if (i % 5 == 4) text += "\n\n";
      }
      (zh ? chinese_ : english_) += text;
      lines += dump_json({{"id", d}, {"lang", zh ? "zh" : "en"}, {"text", text}}) + "\n";
    }
    return lines;
  }
  /// People who do, say and do not do what a number tells from everything else.
  std::string novel() {
    struct Person {
      const char *name, *pronoun;
    };
    constexpr Person people[] = {{"Mr. Alder", "He"}, {"Miss Birch", "She"}, {"Captain Dunn", "He"}};
    std::string text;
    for (int i = 0; i < 150; ++i) {
      const Person &p = people[i % 3], &other = people[(i + 1) % 3];
      if (i % 40 == 0) text += fmt::format("\n\nChapter {}\n\n", i / 40 + 1);
      text +=
          fmt::format("{} carried lantern number {} over the bridge before the evening. ", p.name, 20000 + i);
      text += fmt::format("{} had counted {} steps from the mill to the gate.\n\n", p.pronoun, 21000 + i);
      text += fmt::format("“The lantern number {} belongs to the mill,” said {}.\n\n", 22000 + i, other.name);
      text += fmt::format("{} could not find basket number {} behind the stable.\n\n", other.name, 23000 + i);
    }
    return dump_json({{"id", "novel"}, {"lang", "en"}, {"text", text}}) + "\n";
  }
  static std::string articles() {
    std::string lines;
    for (int i = 0; i < 300; ++i) {
      bool zh = i % 2;
      std::string id = std::to_string(1000 + i);
      std::string text =
          zh ? "文章" + id + "介绍一座小城。城里有一条河，河上住着" + id + "户人家，他们以捕鱼为生。"
             : "Article " + id + " is about a small town on a river. Some " + id +
                   " families live there, and most of them go fishing.";
      Json qas = {
          {{"question", zh ? "文章" + id + "中有多少户人家？" : "How many families has article " + id + "?"},
           {"answers", {id}}},
          {{"question", "?"}, {"answers", Json::array()}, {"is_impossible", true}}};
      lines += dump_json({{"id", "a" + id}, {"lang", zh ? "zh" : "en"}, {"text", text}, {"qas", qas}}) + "\n";
    }
    return lines;
  }
  static std::string code() {
    std::string text;
    for (int f = 0; f < 30; ++f) {
      text += fmt::format("# ===== file: part/file{}.py =====\n", f);
      for (int i = 0; i < 8; ++i)
        text += fmt::format("def work_{}_{}(x):\n    total = x + {}\n    return total * {}\n\n", f, i,
                            f * 100 + i, f * 1000 + i);
    }
    return dump_json({{"id", "c"}, {"lang", "python"}, {"text", text}}) + "\n";
  }
  static std::string instructions() {
    std::string lines;
    for (bool zh : {false, true})
      for (int i = 0; i < 5; ++i)
        lines += dump_json({{"lang", zh ? "zh" : "en"},
                            {"instruction", (zh ? "请写出数字" : "Write the number ") + std::to_string(i)},
                            {"input", ""},
                            {"output", (zh ? "数字" : "The number ") + std::to_string(i)}}) +
                 "\n";
    return lines;
  }

  SynthJob only(const std::string& kind, const std::string& language) const {
    SynthJob job = job_;
    job.mix = {{kind, 1}};
    job.language = language;
    if (kind == "reading") job.documents = {novel_};
    return job;
  }
  std::vector<Json> written(SynthJob job, int64_t records) {
    job.records = records;
    fs::path out = dir_ / "out.jsonl.zst";
    SynthReport report = synthesise(job, tokenizer_, out, {});
    EXPECT_EQ(report.records, records);
    std::vector<Json> all;
    documents::read_lines(out, [&](std::string_view line, int64_t) {
      if (!line.empty()) all.push_back(parse_json(line, "out"));
      return true;
    });
    EXPECT_EQ(static_cast<int64_t>(all.size()), records);
    return all;
  }
  /// body(first message, question without the context, answer, number of the turn, record).
  template <typename Body>
  void for_each_turn(const std::string& kind, const Body& body) {
    for (const char* language : {"en", "zh"}) {
      SCOPED_TRACE(kind + " " + language);
      for (const Json& record : written(only(kind, language), 4)) {
        const Json& messages = record["messages"];
        std::string first = messages[0]["content"].get<std::string>();
        for (size_t i = 0; i < messages.size(); i += 2) {
          std::string question =
              i == 0 ? first.substr(first.rfind("\n\n") + 2) : messages[i]["content"].get<std::string>();
          body(first, question, messages[i + 1]["content"].get<std::string>(), i / 2, record);
        }
      }
    }
  }
  std::string fault(const SynthJob& job) {
    try {
      synthesise(job, tokenizer_, dir_ / "fault.jsonl", {});
    } catch (const Error& error) {
      EXPECT_FALSE(fs::exists(dir_ / "fault.jsonl"));
      EXPECT_FALSE(fs::exists(dir_ / "fault.jsonl.part"));
      return error.what();
    }
    return "";
  }

  Tokenizer tokenizer_ = byte_tokenizer({"<|im_start|>", "<|im_end|>"});
  ChatFormat chat_{.chat_template = ChatTemplate(
                       "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
                       "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
                       "chatml")};
  SynthJob job_;
  fs::path novel_;
  std::string english_, chinese_;  // all documents
};

}  // namespace
}  // namespace longspan
