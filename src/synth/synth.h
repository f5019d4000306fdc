// Long instruction data from documents and question-answer pairs: conversations of a target length in which
// many questions are asked about one context (measured to be the lever that teaches a small model to
// retrieve; XVERSE's and Index's long SFT are of this kind). Templates are rows in tables, English and
// Chinese; none is a needle of any evaluation. Seeded: record k of a job is a pure function of (job, seed,
// k).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "data/documents.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

/// Kinds of record; each is a row of synth_kinds(): facts, multi_document_qa, document_qa, quote, key_value,
/// multi_needle, passage_retrieval, passage_count, summary, code, short.
struct SynthKind {
  const char* name;
  const char* summary;
  const char* needs;  // "documents", "questions", "code", "instructions", "nothing"
};
std::vector<SynthKind> synth_kinds();

struct SynthJob {
  std::vector<std::filesystem::path> documents;  // haystacks: text
  std::vector<std::filesystem::path> questions;  // records with "text" and "qas"
  std::vector<std::filesystem::path> code;
  std::vector<std::filesystem::path> instructions;  // records with instruction, input, output
  std::vector<std::pair<std::string, double>> mix;  // kind -> share; empty: of the kinds whose input is given
  int64_t target_tokens = 32768;  // of the whole conversation, which has 90 to 100 % of it; `short` has less
  int64_t turns = 0;             // questions a context; 0: 24 at 32K, in proportion to the length, at most 96
  std::string language = "any";  // en, zh, any
  double far_weight = 0;  // 0: depths uniform; 1: density of an answer's depth falls linearly towards the end
  int64_t records = 100;
  uint64_t seed = 1;
};

/// {"id", "kind", "lang", "messages": [{role, content}], "masked": [[begin, end], ...], "answers_at": [depth
/// in 0..1, ...], "tokens"}; masked are character (code point) spans of the first message: inserted facts.
/// answers_at has for each answer the place, farthest from the questions, that it rests on: 0 is the
/// context's begin. tokens are those of all contents, and some for what the template adds to each message.
/// Reads the files at each call. Errors as below.
Json synth_record(const SynthJob& job, const Tokenizer& tokenizer, int64_t k);

struct SynthReport {
  int64_t records = 0, tokens = 0;
  std::map<std::string, int64_t> by_kind;  // records
  bool complete = true;                    // false: progress said stop, nothing was written
};

/// Writes JSONL (compressed when the name ends in .zst), atomically. Error when a kind of the mix lacks its
/// input or a record cannot reach its length.
SynthReport synthesise(const SynthJob& job, const Tokenizer& tokenizer, const std::filesystem::path& out,
                       const Progress& progress);

}  // namespace longspan
