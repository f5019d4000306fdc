// The words of synthetic records: facts to hide and what is asked about them, how each kind opens, asks and
// answers, and the pools that slots draw from. resources/synth/LANGUAGE.toml holds them, in English and
// Chinese. Slots stand in braces: "{town}" and "{town2}" are two different values of one pool. The order of
// rows and words is part of the random draw.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longspan {

/// A fact with one answer. The questions name everything that distinguishes it from other facts of the row.
struct FactTemplate {
  std::string language;
  std::string fact;
  std::vector<std::string> questions;
  std::string answer;    // the bare answer: a slot
  std::string sentence;  // the answer as a sentence
};
const std::vector<FactTemplate>& fact_templates();

/// Facts about one {subject}, each of which names one {item}; a question asks for all items.
struct ListTemplate {
  std::string language;
  std::string subject, item;  // names of pools
  std::string fact;
  std::vector<std::string> questions;
};
const std::vector<ListTemplate>& list_templates();

/// The wording of a kind of record; openings precede the context. The questions of the kind "sentence" are
/// requests to answer {x} in a sentence: they stand with the question, since the opening is far away.
struct Phrases {
  std::string kind;
  std::string language;
  std::vector<std::string> openings, questions, answers;
};
const std::vector<Phrases>& phrase_tables();
/// Requires that there is such a row.
const Phrases& phrases(std::string_view kind, std::string_view language);

/// A value is one of `first`, followed by `between` and one of `second` where there are any.
struct Pool {
  std::string name;
  std::string language;
  std::vector<std::string> first, second;
  std::string between;
};
const std::vector<Pool>& pools();

}  // namespace longspan
