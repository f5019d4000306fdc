// compare: methods x lengths on one text. Loss is measured on the same last `tail` tokens of a window while
// the context before them grows, so that only the reach of a method changes between lengths; pass keys tell
// whether it retrieves. Cases are planned and checked before any is computed, and each one carries a key of
// everything that decides its result: what was measured under that key is never measured again.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/passkey.h"
#include "eval/result_store.h"
#include "generate/engine.h"

namespace longspan {

struct CompareSettings {
  std::vector<std::string> methods;  // as split_methods gives them
  std::vector<int64_t> lengths;      // tokens of a window; ascending, each once
  int64_t tail = 1024;               // tokens scored at the end of each window
  int64_t windows = 1;               // places in the text; the last one ends with it
  int64_t passkeys = 4;              // depths of a pass key at each length; 0: none
  uint64_t seed = 0;                 // of the pass keys
};

/// Specs of "none, yarn:factor=4,beta_fast=32; ntk": commas, semicolons and blanks separate, but a key=value
/// belongs to the spec before it. Error when one is named twice.
std::vector<std::string> split_methods(std::string_view list);

/// A method made ready for one length.
struct StretchedMethod {
  std::string spec;  // what --position would be told; "none": the model as it is
  PositionConfig position;
};
/// With s = max(1, length / trained window): a value "auto" becomes s and "2*auto" becomes 2 s; a required
/// factor that is missing becomes s, or 2 where the method follows the length by itself. "none" is the
/// model's own method. Error as parse_position says, or when there is no trained window to divide by.
StretchedMethod stretch_method(const std::string& method, const PositionConfig& model, int64_t length);

struct CompareCase {
  enum Kind { Loss, Passkeys } kind = Loss;
  size_t row = 0;              // index into ComparePlan::rows
  Json key;                    // all that decides the result
  std::vector<int32_t> ids{};  // Loss: the window
  bool by_position = false;    // Loss: every token is scored, not the tail alone
  int64_t tokens = 0;          // read by this case, for the bar
};

/// One method at one length.
struct CompareRow {
  std::string method;  // as asked for
  StretchedMethod stretched;
  int64_t length = 0;
  int64_t kv_bytes = 0, memory_bytes = 0;  // predicted; memory: the whole program with this window
};

struct ComparePlan {
  CompareSettings settings;
  int64_t text_tokens = 0;
  std::vector<CompareRow> rows{};  // method by method, lengths ascending
  std::vector<CompareCase> cases{};
  std::map<int64_t, PasskeyTask> passkeys{};  // by length
};

/// Everything that could be wrong is found here: specs, lengths against text and memory, pass keys. `model`
/// is the file or directory the engine was opened from.
ComparePlan plan_compare(const Engine& engine, const std::filesystem::path& model, const std::string& text,
                         const CompareSettings& settings);

/// Computes the cases that the store lacks. Progress counts tokens of these; false when it asked to stop (the
/// case in hand is lost, those before it are kept).
bool run_compare(const Engine& engine, const ComparePlan& plan, ResultStore& store,
                 const Progress& progress = {});

}  // namespace longspan
