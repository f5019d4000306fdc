// Output: results on stdout, everything for people on stderr.
#pragma once

#include <fmt/core.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/text.h"
#include "cli/options.h"

namespace longspan::cli {

/// The object as one line on stdout.
void print_json(const Json& value);
/// Text on stdout at once, for streams. Error when it cannot be written; a reader that has gone (a closed
/// pipe) ends the program quietly, as it ends every filter.
void print_now(std::string_view text);
/// Makes sure that what libraries wrote to stdout (help, version) has arrived. Error as print_now.
void finish_output();
/// Where standard input, output or error was closed by the caller, its number is taken, so that no file of
/// ours gets it; writing to such an output is an error.
void hold_standard_streams();

/// A line for people on stderr, unless --quiet.
template <typename... Args>
void remark(const Options& o, fmt::format_string<Args...> format, Args&&... args) {
  if (!o.quiet) fmt::print(stderr, "{}\n", fmt::format(format, std::forward<Args>(args)...));
}

/// "longspan: SENTENCE" on stderr. The last resort against foreign bytes: whatever is in the sentence, it
/// becomes one line, escaped and of bounded length.
void print_fault(std::string sentence);

/// What is said of a page that was written: where it lies, and where gnuplot is missing that it lacks its
/// charts.
std::string page_remark(const std::filesystem::path& page);

/// In single quotes if a shell would not read it as one plain word.
std::string shell_word(const std::string& word);

/// Peak resident memory of this process so far.
int64_t peak_bytes();
double seconds_now();

}  // namespace longspan::cli
