// What a run leaves in its folder, and how it is read back:
//   settings.json   one object: everything that decides a score (see below); a run with other settings is
//                   refused there
//   results.jsonl   a line a case as soon as it ends: {"case": ID, "result": {...}}; a shard I of N writes
//                   results.I-of-N.jsonl
// Result of every kind: task (name), kind ("answer", "choice", "loss"), cell, source, prompt_tokens,
// read_tokens (of the prompt, not found in the cache), cut_tokens, seconds, scores.
//   answer: new_tokens, stop ("length", "end", "stop"), prediction, answer (only if post-processing changed
//           it), references, scores {METRIC: {"compat": x, "clean": y}} in 0..1, prompt (the text; of long
//           ones
//           {"head": .., "tail": ..})
//   choice: logprobs [..] and bytes [..] of the choices, correct (index), prompt,
//           scores {"accuracy": {..}, "accuracy_per_byte": {..}}; with a neutral prompt neutral_logprobs and
//           "accuracy_gain", too
//   loss:   nll (sum, natural log), tokens, bytes (of the counted tokens), buckets [[first, last, sum,
//   count],
//           ..] by position, scores {}
// settings: suite, what, paper, dialect, scoring ("compat" or "clean": which of the two counts), seed, limit,
// model, position (canonical), window, cache_type, compute, adapter, endpoint (if any), chat_template, data,
// jieba, overrides, command, tasks [{name, what, category, metrics, combine, maker, cases (how many), row}],
// missing [sentences].
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace longspan {

struct CaseResult {
  std::string id;
  Json result;
};

struct RunResults {
  std::filesystem::path folder;
  Json settings;
  std::vector<CaseResult> cases;  // sorted by id, each once
};

/// Reads settings.json and every results*.jsonl of a folder. Error names file and line.
RunResults read_run(const std::filesystem::path& folder);

}  // namespace longspan
