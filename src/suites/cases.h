// Cases: what a model is asked. Planning makes a light description of each, in the order in which consecutive
// prompts share the longest prefixes. The text of a case is made only when the case runs, because a grid up
// to 256K tokens has a gigabyte of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "suites/cell.h"
#include "suites/suite.h"
#include "tokenizer/chat_format.h"

namespace longspan {

enum class CaseKind {
  Answer,  // the model writes, metrics score it
  Choice,  // the likeliest of several continuations
  Loss     // log-probability of given tokens
};

struct Prompt;  // prompt.h

struct CaseText {
  // Answer and Choice
  std::string system, user, prefix;             // turns; the beginning of the answer
  std::vector<ChatMessage> turns = {};          // earlier ones, between system and user
  size_t document_begin = 0, document_end = 0;  // bytes of `user` that truncation may cut
  std::vector<std::string> references = {};     // Answer: for the metric
  Json fields = Json::object();                 // Answer: for the metric: "all_classes", "needle", ...
  std::vector<std::string> choices = {};        // Choice: each follows the prompt
  size_t correct = 0;                           // Choice: index
  std::string neutral = {};                     // Choice: a prompt without information; "": none
  // Answer and Choice: the whole prompt of this text, if a maker has made it to count its tokens
  std::shared_ptr<const Prompt> prompt = {};
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
  std::string source;  // "FILE:LINE" of data from a file; "": generated
  int64_t length = 0;  // tokens that prompt and answer were made to fill at most; 0: as long as the data is
  std::function<CaseText()> text = {};  // the same on every call; errors open with source
  std::string too_short = {};           // why its length cannot hold it: make_cases leaves it out and says so
};

/// How texts of the user's are read (documents/document.h).
struct TextReading {
  std::string encoding = {};                            // --encoding; "": recognised
  std::function<void(const std::string&)> remark = {};  // takes sentences about what was read
};

/// What a maker may use.
struct MakeContext {
  const PromptMaker& prompts;                   // of the tested model: lengths are its tokens
  const Tokenizer* length_tokenizer = nullptr;  // counts instead, where a suite prescribes one
  std::filesystem::path data = {};              // --data: the user's file or folder; "": not given
  const std::string* text = nullptr;            // replaces documents and haystacks (compare's text)
  uint64_t seed = 0;
  int64_t limit = 0;   // cases of a task; 0: all
  int64_t window = 0;  // tokens that the tested model reaches; 0: unknown
  TextReading reading = {};
};

struct CaseMaker {
  const char* name;
  const char* what;                      // one line for docs and errors
  bool (*needs_data)(const Json& make);  // has nothing to read without --data; `make`: its [task.make]
  /// Cases of one task; Case::task is set by the caller. The task and the context's prompts outlive them.
  std::vector<Case> (*make)(const Task& task, const MakeContext& context);
};
std::span<const CaseMaker> case_makers();
/// Error listing the names when there is no such maker.
const CaseMaker& find_maker(std::string_view name);

/// Thrown by a maker whose file is missing: the caller skips the task and says so.
struct MissingData {
  std::string what;      // "trec.jsonl"; the whole sentence when `why` is ""
  std::string why = "";  // "not below /data": tasks that say the same are named together
};

/// Thrown by the text of a generated case whose length is too small for it, whatever its seed.
struct DoesNotFit : Error {
  using Error::Error;
};

/// Stands for the cases of a length that cannot hold them; make_cases leaves it out and says so.
Case too_short_case(const Task& task, int64_t length, const std::string& sentence);

/// Whether the task has nothing to read until --data names it.
bool needs_data(const Task& task);

/// Cases of all tasks, in reading order; their ids are unique. Tasks without data, and lengths too small for
/// the texts of a task, go to `missing`, a sentence each. Error when no case is left.
std::vector<Case> make_cases(const Suite& suite, const MakeContext& context,
                             std::vector<std::string>& missing);

// The makers, one per file.
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
