// Long instruction data made from documents and question-answer pairs: conversations of a target length that
// ask many questions about one context. Measurements showed that this is what teaches a small model to
// retrieve; the long SFT of XVERSE and Index is of this kind. The words come from tables in English and
// Chinese (templates.h), none of which is a needle of any evaluation. Record k is a pure function of (job,
// seed, k).
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

/// A kind of record. synth_kinds() lists them: facts, reading, multi_document_qa, document_qa, quote,
/// key_value, multi_needle, passage_retrieval, passage_count, summary, code, short.
struct SynthKind {
  const char* name;
  const char* summary;
  const char* needs;          // "documents", "questions", "code", "instructions", "nothing"
  const char* language = "";  // the only one that it can be made in; "": en and zh
};
std::vector<SynthKind> synth_kinds();

struct SynthJob {
  std::vector<std::filesystem::path> documents;  // haystacks: text
  std::vector<std::filesystem::path> questions;  // records with "text" and "qas"
  std::vector<std::filesystem::path> code;
  std::vector<std::filesystem::path> instructions;  // records with instruction, input, output
  // Share of each kind; empty: the default shares of the kinds whose input is given.
  std::vector<std::pair<std::string, double>> mix;
  int64_t target_tokens = 32768;  // a conversation has 90 to 100 % of it; records of kind `short` have fewer
  int64_t turns = 0;       // questions per context; 0: 24 at 32K, proportional to the length, at most 96
  int64_t most_turns = 0;  // above turns: their number is drawn log-uniformly from turns .. most_turns
  std::string language = "any";  // en, zh, any
  // 0: the depths of answers are uniform; 1: their density falls linearly towards the end of the context.
  double far_weight = 0;
  // In this share of the records all answers lie in the first part of the context, 30 to 80 % of it.
  double front_share = 0;
  // Of the facts that a record invents, this share has one to three sisters: the same sentence about others,
  // half of them asked for, half only there to be told apart.
  double sister_share = 0;
  double natural_share = 0;  // of the facts, sentences of the questions' articles
  // Of the questions of `facts` and `reading`, those that ask for a sentence; the others are answered in as
  // few words as there are. A model that is not told which of the two is wanted learns to repeat the
  // question.
  double sentence_share = 0.2;
  int64_t records = 100;
  uint64_t seed = 1;
  std::string encoding = {};  // of the files; "": recognised
};

/// {"id", "kind", "lang", "messages": [{role, content}], "masked": [[begin, end], ...], "answers_at": [depth
/// in 0..1, ...], "tokens"}. masked: spans of characters (code points) of the first message that hold
/// inserted facts. answers_at: for each answer, of the places it needs the one farthest from the questions; 0
/// is the beginning of the context. tokens: of all contents, plus an allowance for what a template adds.
/// question_at: the character of the first message at which its question begins, where a context precedes it.
/// Reads the files on each call. Errors as for synthesise().
Json synth_record(const SynthJob& job, const Tokenizer& tokenizer, int64_t k);

struct SynthReport {
  int64_t records = 0, tokens = 0;
  std::map<std::string, int64_t> by_kind;  // records
  ReadingReport reading;                   // of all input
  bool complete = true;                    // false: progress asked to stop, and nothing was written
};

/// Writes JSONL (compressed when the name ends in .zst), atomically. Error when a kind of the mix lacks its
/// input, or when a record cannot reach its length.
SynthReport synthesise(const SynthJob& job, const Tokenizer& tokenizer, const std::filesystem::path& out,
                       const Progress& progress);

}  // namespace longspan
