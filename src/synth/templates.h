// The words of synthetic records, as tables: facts to hide and what is asked about them, and how each kind
// opens, asks and answers, in English and Chinese. Slots stand in braces: "{town}", "{town2}" are two
// different values of one pool. None of the words is a needle of an evaluation (a test holds this).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace longspan {

/// A fact of one answer. The questions name all that tells it from others of the same row.
struct FactTemplate {
  const char* language;
  const char* fact;
  std::vector<const char*> questions;
  const char* answer;    // the bare answer: a slot
  const char* sentence;  // the answer as a sentence
};
const std::vector<FactTemplate>& fact_templates();

/// Facts of one {subject} of which each names one {item}; the question wants all of them.
struct ListTemplate {
  const char* language;
  const char* subject;  // pools
  const char* item;
  const char* fact;
  std::vector<const char*> questions;
};
const std::vector<ListTemplate>& list_templates();

/// How a kind of record speaks. Openings stand before the context; of facts those of odd index want a bare
/// answer, those of even index a sentence.
struct Phrases {
  const char* kind;
  const char* language;
  std::vector<const char*> openings, questions, answers;
};
const std::vector<Phrases>& phrase_tables();
/// Requires that there is such a row.
const Phrases& phrases(std::string_view kind, std::string_view language);

using Slots = std::map<std::string, std::string>;
/// A value of a pool: person, town, object, job, animal, colour, food, number, year, code, time, date, ...
/// Requires that there is such a pool.
std::string draw_value(std::string_view pool, std::string_view language, Random& random);
/// Draws values for all slots of `text` that have none, different ones for slots of one pool.
void draw_slots(std::string_view text, std::string_view language, Random& random, Slots& slots);
/// Requires that all slots have values.
std::string fill(std::string_view text, const Slots& slots);

}  // namespace longspan
