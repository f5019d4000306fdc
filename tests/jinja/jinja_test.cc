// The interpreter against renderings that Python's jinja2 made (tools/make_chat_golden.py), its limits, its
// sentences.
#include "jinja/jinja.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.h"

namespace longspan {
namespace {

const std::string kFolder = std::string(LONGSPAN_GOLDEN) + "/chat/";

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{} is missing", path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<Json> read_lines(const std::string& path) {
  std::istringstream text(read(path));
  std::vector<Json> out;
  for (std::string line; std::getline(text, line);) out.push_back(parse_json(line, path));
  return out;
}

// 5 January 2026, 9:07:03, a Monday: the clock of the golden files.
JinjaOptions golden_options() {
  std::tm now{};
  now.tm_year = 126;
  now.tm_mday = 5;
  now.tm_hour = 9;
  now.tm_min = 7;
  now.tm_sec = 3;
  now.tm_wday = 1;
  now.tm_yday = 4;
  JinjaOptions options;
  options.now = now;
  return options;
}

// The text, or the sentence of the Error.
struct Outcome {
  std::string text;
  bool failed = false;
};

Outcome outcome(const std::string& text, const Json& variables, const JinjaOptions& options = {}) {
  try {
    return {Jinja(text, "test.jinja").render(variables, options), false};
  } catch (const Error& error) {
    return {error.what(), true};
  }
}

void check(const Json& golden, const Outcome& got, const std::string& what) {
  if (golden.contains("error")) {
    EXPECT_TRUE(got.failed) << what << "\nrendered what Python refuses: " << got.text;
  } else {
    EXPECT_FALSE(got.failed) << what << "\n" << got.text;
    EXPECT_EQ(got.text, golden["expected"].get<std::string>()) << what;
  }
}

TEST(Jinja, RendersSnippetsAsPython) {
  Json variables = parse_json(read(kFolder + "snippet_variables.json"), "snippet_variables.json");
  std::vector<Json> cases = read_lines(kFolder + "snippets.jsonl");
  ASSERT_GT(cases.size(), 700u);
  for (const Json& golden : cases) {
    std::string text = golden["template"];
    check(golden, outcome(text, variables, golden_options()), text);
  }
}

TEST(Jinja, RendersRealTemplatesAsPython) {
  Json conversations = parse_json(read(kFolder + "conversations.json"), "conversations.json");
  std::vector<Json> cases = read_lines(kFolder + "rendered.jsonl");
  ASSERT_GT(cases.size(), 700u);
  for (const Json& golden : cases) {
    Json variables = {{"tools", nullptr},    {"documents", nullptr}, {"bos_token", "<s>"},
                      {"eos_token", "</s>"}, {"pad_token", "<pad>"}, {"unk_token", "<unk>"}};
    std::string conversation = golden["conversation"];
    for (const auto& [name, value] : conversations[conversation].items()) variables[name] = value;
    variables["add_generation_prompt"] = golden["add_generation_prompt"];
    std::string file = golden["template"];
    check(golden, outcome(read(kFolder + "templates/" + file), variables, golden_options()),
          file + ", " + conversation);
  }
}

TEST(Jinja, SaysWhereAndWhatIsNotSupported) {
  const std::pair<const char*, const char*> cases[] = {
      {"a\nb\n{% include 'x' %}",
       "test.jinja: the chat template cannot be read: line 3: the tag '{% include %}' is not supported"},
      {"{% call m() %}{% endcall %}", "the tag '{% call %}'"},
      {"{% block a %}{% endblock %}", "the tag '{% block %}'"},
      {"\n{% for i in x recursive %}{% endfor %}", "line 2: 'for ... recursive' is not supported"},
      {"{{ x|batch(2) }}", "the filter 'batch' is not supported"},
      {"{{ x is nosuch }}", "the test 'nosuch' is not supported"},
      {"{{ m(*x) }}", "unpacking arguments with '*'"},
      {"{{ lipsum() }}", "the function lipsum() is not supported"},
      {"{{ 'x'.zfill(3) }}", "the method str.zfill() is not supported"},
      {"{{ [1].pop() }}", "list.pop() is forbidden"},
      {"{{ 10 ** 30 }}", "a number grows beyond 64 bits"},
      {"{{ {}.items }}", "method cannot be printed"},
      {"{{ self }}", "the special name 'self' is not supported"},
      {"{{ x[1, 2] }}", "an index of several values"},
      {"\n\n{{ nothing.here }}", "test.jinja: the chat template failed: line 3: 'nothing' is undefined"},
      {"{{ raise_exception('only two roles') }}", "the template refuses this conversation: only two roles"},
      {"{{ ('<'|e).replace('a', 'b') }}", "escaped text"},
  };
  for (const auto& [text, sentence] : cases) {
    Outcome got = outcome(text, {{"x", {1, 2}}});
    EXPECT_TRUE(got.failed) << text;
    EXPECT_NE(got.text.find(sentence), std::string::npos) << text << "\n" << got.text;
  }
}

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Jinja, HostileTemplatesEndInAnError) {
  const std::string cases[] = {
      "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
      "{{ range(10 ** 9) }}",
      "{{ 'a' * 10 ** 10 }}",
      "{{ [0] * 10 ** 12 }}",
      "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor "
      "%}",
      "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s.replace('a', ns.s) "
      "%}{% endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
      "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
      "{% set l = [] %}{% set _ = l.append(l) %}{{ l == [l] }}",
      "{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
      "{{ 'x'|indent(10 ** 9) }}",
      "{{ 'a' * 2000000 ~ 'b' in 'a' * 4000000 }}",
      "{% set s = 'a' * 10000000 %}{% for i in range(100000) %}{{ '' if s == s ~ '' else '' }}{% endfor %}",
      "{% set s = 'a' * 10000000 %}{% for i in range(100000) %}{{ '' if s|length else '' }}{% endfor %}",
      "{% set s = 'a' * 10000000 %}{% for i in range(100000) %}{{ {}[s] }}{% endfor %}",
      "{{ '%1000000000d' % 1 }}",
      "{{ [1]|tojson(indent=10 ** 9) }}",
      "{{ 9223372036854775807 // -1 * 9223372036854775807 }}",
      "{{ (-9223372036854775807 - 1) // -1 }}",
      "{{ (-9223372036854775807 - 1)|abs }}",
      "{{ " + repeated("(", 100000),
      "{{ " + repeated("-", 100000) + "1 }}",
      "{{ " + repeated("not ", 100000) + "1 }}",
      "{{ 1" + repeated(" + 1", 100000) + " }}",
      "{{ a" + repeated(".a", 100000) + " }}",
      "{{ 1" + repeated("|abs", 100000) + " }}",
      "{{ " + repeated("[", 100000) + repeated("]", 100000) + " }}",
      repeated("{% if 1 %}", 100000),
      "{{ 1" + repeated(" if 1 else 1", 100000) + " }}",
  };
  JinjaOptions options;
  options.max_steps /= 20;  // for the test's time
  for (const std::string& text : cases)
    EXPECT_TRUE(outcome(text, Json::object(), options).failed) << text.substr(0, 120);
}

TEST(Jinja, NestedVariablesEndInAnError) {
  Json deep = Json::array();
  for (int i = 0; i < 1000; ++i) deep = Json::array({deep});
  EXPECT_TRUE(outcome("{{ x }}", {{"x", deep}}).failed);
}

TEST(Jinja, OutputLimit) {
  JinjaOptions options;
  options.max_output = 100;
  EXPECT_TRUE(outcome("{% for i in range(101) %}a{% endfor %}", Json::object(), options).failed);
  EXPECT_EQ(outcome("{% for i in range(100) %}a{% endfor %}", Json::object(), options).text,
            std::string(100, 'a'));
}

TEST(Jinja, LongConversationsStayFarFromTheLimits) {
  Json messages = Json::array();
  for (int i = 0; i < 1000; ++i) {
    messages.push_back({{"role", i % 2 ? "assistant" : "user"}, {"content", std::string(5000, 'x')}});
  }
  Json variables = {{"messages", messages}, {"tools", nullptr}, {"add_generation_prompt", true}};
  Outcome got = outcome(read(kFolder + "templates/qwen3.jinja"), variables);
  EXPECT_FALSE(got.failed) << got.text;
  EXPECT_GT(got.text.size(), 5'000'000u);
}

TEST(Jinja, BytesThatAreNoUtf8BecomeReplacements) {
  EXPECT_EQ(outcome("a\xff{{ x }}", {{"x", "b\xfe"}}).text, "a\uFFFDb\uFFFD");
}

}  // namespace
}  // namespace longspan
