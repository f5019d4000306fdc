// How one synthetic record is made: what the function of a kind receives and returns, and the helpers that
// all kinds share. A kind is asked for a context of a given number of tokens, repeatedly and with the same
// random numbers, until the whole conversation has its target length.
#pragma once

#include <string>
#include <vector>

#include "synth/slots.h"
#include "synth/sources.h"
#include "synth/templates.h"

namespace longspan {

struct SynthTurn {
  std::string question, answer;
  double depth = 0;  // 0..1 in the context: the place that the answer needs and that is farthest from the end
};

/// The first message consists of opening, context and first question. `masked`: byte ranges of the context.
struct SynthDraft {
  std::string opening, context;
  std::vector<SynthTurn> turns;
  std::vector<std::pair<size_t, size_t>> masked = {};
};

struct SynthMaker {
  const SynthJob& job;
  const SynthSources& sources;
  const Tokenizer& tokenizer;
  std::string kind;
  std::string language;
  Random random;
  int64_t context_tokens = 0;
  int64_t turns = 0;
  double front = 1;  // the part of the context, from its beginning, that holds the answers

  int64_t tokens(std::string_view text) const;
  /// Draws a depth from the job's distribution.
  double depth();
  const std::string& any(const std::vector<std::string>& texts) { return texts[random.below(texts.size())]; }
  /// Draws a question or an answer of `kind` + `variant` ("", ".reverse", ...) and puts x in.
  std::string ask(const std::string& variant, const std::string& x);
  std::string reply(const std::string& variant, const std::string& x);
  /// A question of `facts` or `reading` with its bare answer, or with the request for a sentence and that
  /// sentence.
  SynthTurn turn(std::string question, std::string bare, std::string sentence);
  std::string open() { return any(phrases(kind, language).openings); }
  /// The texts of an input that are in the record's language.
  std::vector<const SourceText*> texts(const std::string& needs) const;
};

/// Pieces of text, each with the white space that follows it, of `tokens` tokens or slightly more in all:
/// from one document if it is long enough, otherwise from several. Error when all of them together are too
/// short.
std::vector<std::string> stretch(SynthMaker& maker, std::vector<const SourceText*> from, int64_t tokens);
std::string joined(const std::vector<std::string>& pieces);

/// Whether a sentence can be put in quotation marks: 30 to 400 bytes, and no quotation marks inside.
bool quotable(std::string_view sentence);

/// Index of the unused place nearest to `at`, which is then marked as used; -1 when all are used. `places` is
/// sorted.
int64_t take_nearest(const std::vector<size_t>& places, std::vector<bool>& used, double at);

template <typename T>
void shuffle(std::vector<T>& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

SynthDraft make_facts(SynthMaker& maker);
SynthDraft make_reading(SynthMaker& maker);
SynthDraft make_multi_needle(SynthMaker& maker);
SynthDraft make_quote(SynthMaker& maker);
SynthDraft make_key_value(SynthMaker& maker);
SynthDraft make_multi_document_qa(SynthMaker& maker);
SynthDraft make_document_qa(SynthMaker& maker);
SynthDraft make_passage_retrieval(SynthMaker& maker);
SynthDraft make_passage_count(SynthMaker& maker);
SynthDraft make_summary(SynthMaker& maker);
SynthDraft make_code(SynthMaker& maker);
SynthDraft make_short(SynthMaker& maker);

}  // namespace longspan
