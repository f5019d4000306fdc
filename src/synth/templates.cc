#include "synth/templates.h"

#include <cassert>

#include "base/resource.h"
#include "base/settings.h"

namespace longspan {

namespace {

struct Words {
  std::vector<FactTemplate> facts;
  std::vector<ListTemplate> lists;
  std::vector<Phrases> phrases;
  std::vector<Pool> pools;
};

void read_language(const std::string& language, Words& words) {
  std::string file = "synth/" + language + ".toml";
  TomlFile toml = parse_toml(resource(file), file);
  Settings all(toml.values, {.file = file, .places = &toml.places});
  all.require({"fact", "list", "phrases", "pool"});
  all.tables("fact", [&](Settings& s) {
    FactTemplate row;
    row.language = language;
    s.require({"fact", "questions", "answer", "sentence"});
    s.read("fact", row.fact);
    s.read("questions", row.questions);
    s.read("answer", row.answer);
    s.read("sentence", row.sentence);
    words.facts.push_back(std::move(row));
  });
  all.tables("list", [&](Settings& s) {
    ListTemplate row;
    row.language = language;
    s.require({"subject", "item", "fact", "questions"});
    s.read("subject", row.subject);
    s.read("item", row.item);
    s.read("fact", row.fact);
    s.read("questions", row.questions);
    words.lists.push_back(std::move(row));
  });
  all.tables("phrases", [&](Settings& s) {
    Phrases row;
    row.language = language;
    s.require({"kind"});
    s.read("kind", row.kind);
    s.read("openings", row.openings);
    s.read("questions", row.questions);
    s.read("answers", row.answers);
    words.phrases.push_back(std::move(row));
  });
  all.tables("pool", [&](Settings& s) {
    Pool row;
    row.language = language;
    s.require({"name", "first"});
    s.read("name", row.name);
    s.read("first", row.first);
    s.read("second", row.second);
    s.read("between", row.between);
    words.pools.push_back(std::move(row));
  });
  all.done();
}

const Words& words() {
  static const Words all = [] {
    Words read;
    for (const char* language : {"en", "zh"}) read_language(language, read);
    return read;
  }();
  return all;
}

}  // namespace

const std::vector<FactTemplate>& fact_templates() { return words().facts; }
const std::vector<ListTemplate>& list_templates() { return words().lists; }
const std::vector<Phrases>& phrase_tables() { return words().phrases; }
const std::vector<Pool>& pools() { return words().pools; }

const Phrases& phrases(std::string_view kind, std::string_view language) {
  for (const Phrases& row : phrase_tables())
    if (row.kind == kind && row.language == language) return row;
  assert(false);
  return phrase_tables().front();
}

}  // namespace longspan
