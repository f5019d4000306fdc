// Cases: what a model is asked. Planning makes light descriptions of all of them, in the order in which they
// share most of their beginnings; the text of a case is made when its turn comes, because a grid up to 256K
// tokens has a gigabyte of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "generate/engine.h"
#include "suites/cell.h"
#include "suites/suite.h"
#include "tokenizer/chat_template.h"

namespace longspan {

enum class CaseKind {
  Answer,  // the model writes, metrics score it
  Choice,  // the likeliest of several continuations
  Loss     // log-probability of given tokens
};

struct CaseText {
  // Answer and Choice
  std::string system, user, prefix;             // turns; the beginning of the answer
  std::vector<ChatMessage> turns = {};          // earlier ones, between system and user
  size_t document_begin = 0, document_end = 0;  // bytes of `user` that truncation may cut
  std::vector<std::string> references = {};     // Answer: of the metric
  Json fields = Json::object();                 // Answer: of the metric: "all_classes", "needle", ...
  std::vector<std::string> choices = {};        // Choice: each follows the prompt
  size_t correct = 0;                           // Choice: index
  std::string neutral = {};                     // Choice: a prompt that tells nothing; "": none
  // Loss
  std::vector<int32_t> ids = {};  // the window
  int64_t from = 1;               // tokens from <= i < n count, from >= 1
  bool whole_curve = false;       // losses by position are taken of all tokens, not of those that count alone
};

struct Case {
  std::string id;   // "TASK/...": unique within a suite, the same in every run
  size_t task = 0;  // index into Suite::tasks
  CaseKind kind = CaseKind::Answer;
  Cell cell = {};  // what tables and pictures group by: "length", "depth" (per cent), "needle", "language",
                   // "document", "position", ...
  std::string source;  // "FILE:LINE" of data from a file, "" of data made here
  int64_t length = 0;  // tokens that prompt and answer were made to fill at most; 0: as the data comes
  std::function<CaseText()> text = {};  // the same every time; errors open with source
};

/// What a maker may use.
struct MakeContext {
  const Engine& engine;  // tokenizer and template: lengths are tokens of the tested model
  const Tokenizer* length_tokenizer = nullptr;  // counts instead of the engine's where a suite fixed one
  std::filesystem::path data = {};              // --data: file or folder of the user's; "": none given
  const std::string* text = nullptr;            // stands for documents and haystacks: compare's
  uint64_t seed = 0;
  int64_t limit = 0;   // cases of a task; 0: all
  int64_t window = 0;  // tokens that the tested model reaches; 0: unknown
};

struct CaseMaker {
  const char* name;
  const char* what;  // one line for docs and errors
  /// Cases of one task; Case::task is set by the caller. The task and the context's engine outlive them.
  std::vector<Case> (*make)(const Task& task, const MakeContext& context);
};
std::span<const CaseMaker> case_makers();
/// Error lists the names.
const CaseMaker& find_maker(std::string_view name);

/// Raised by a maker whose file is not there: the caller skips the task and says so.
struct MissingData {
  std::string what;  // "trec.jsonl below /data"
};

/// Cases of all tasks, in reading order, ids checked to be unique. Tasks without data go to `missing`, a
/// sentence each; Error when nothing is left.
std::vector<Case> make_cases(const Suite& suite, const MakeContext& context,
                             std::vector<std::string>& missing);

// The makers, a file each.
std::vector<Case> make_file_cases(const Task&, const MakeContext&);         // files.cc
std::vector<Case> make_nolima_cases(const Task&, const MakeContext&);       // nolima.cc
std::vector<Case> make_needle_cases(const Task&, const MakeContext&);       // needle.cc
std::vector<Case> make_needlebench_cases(const Task&, const MakeContext&);  // needlebench.cc
std::vector<Case> make_passkey_cases(const Task&, const MakeContext&);      // passkeys.cc
std::vector<Case> make_lines_cases(const Task&, const MakeContext&);        // lines.cc
std::vector<Case> make_ruler_niah_cases(const Task&, const MakeContext&);   // ruler_niah.cc
std::vector<Case> make_ruler_vt_cases(const Task&, const MakeContext&);     // ruler_vt.cc
std::vector<Case> make_ruler_cwe_cases(const Task&, const MakeContext&);    // ruler_words.cc
std::vector<Case> make_ruler_fwe_cases(const Task&, const MakeContext&);    // ruler_words.cc
std::vector<Case> make_ruler_qa_cases(const Task&, const MakeContext&);     // ruler_qa.cc
std::vector<Case> make_perplexity_cases(const Task&, const MakeContext&);   // perplexity.cc
std::vector<Case> make_short_loss_cases(const Task&, const MakeContext&);   // short.cc
std::vector<Case> make_choice_cases(const Task&, const MakeContext&);       // choice.cc

}  // namespace longspan
