// The words of synthetic records: facts to hide and what is asked about them, how each kind opens, asks and
// answers, and the pools that slots draw from. resources/synth/LANGUAGE.toml holds them, in English and
// Chinese. Slots stand in braces: "{town}" and "{town2}" are two different values of one pool. The order of
// rows and words is part of the random draw.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longspan {

/// A fact of one answer. The questions name all that tells it from others of the same row.
struct FactTemplate {
  std::string language;
  std::string fact;
  std::vector<std::string> questions;
  std::string answer;    // the bare answer: a slot
  std::string sentence;  // the answer as a sentence
};
const std::vector<FactTemplate>& fact_templates();

/// Facts of one {subject} of which each names one {item}; the question wants all of them.
struct ListTemplate {
  std::string language;
  std::string subject, item;  // pools
  std::string fact;
  std::vector<std::string> questions;
};
const std::vector<ListTemplate>& list_templates();

/// How a kind of record speaks. Openings stand before the context; of those of facts, odd indices want a bare
/// answer, even ones a sentence.
struct Phrases {
  std::string kind;
  std::string language;
  std::vector<std::string> openings, questions, answers;
};
const std::vector<Phrases>& phrase_tables();
/// Requires that there is such a row.
const Phrases& phrases(std::string_view kind, std::string_view language);

/// A value is one of the first words and, where there are second ones, one of these behind `between`.
struct Pool {
  std::string name;
  std::string language;
  std::vector<std::string> first, second;
  std::string between;
};
const std::vector<Pool>& pools();

}  // namespace longspan
