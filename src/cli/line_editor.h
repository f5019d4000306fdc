// The lines that a user types: with libedit where standard input is a terminal (history, Tab completes
// commands and their paths), else as they come.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longspan::cli {

/// What Tab makes of the beginning of a line: the text to insert, and, when there is none, the words that the
/// line could become.
struct Completion {
  std::string insert;
  std::vector<std::string> choices;
};
Completion complete_word(std::string_view line, std::span<const std::string> words);

/// One message of `line`, which gives lines without their ends and nothing at the end of the input: a line;
/// lines that end in a backslash and the one after them, joined by line feeds; or what is between """ at the
/// beginning of a line and """ at the end of one. `first`: whether a message begins. Nothing at the end.
std::optional<std::string> read_message(const std::function<std::optional<std::string>(bool first)>& line);

class LineEditor {
 public:
  /// Tab completes the words, at the beginning of a line, and paths behind them. `history` is read now and
  /// rewritten at the end; an empty path keeps none.
  LineEditor(std::vector<std::string> words, std::filesystem::path history);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// Whether somebody types.
  bool interactive() const { return interactive_; }
  /// The next line; nothing at the end of the input and after Ctrl-C on an empty line (Ctrl-C elsewhere
  /// forgets the line). `prompt` is shown where somebody types.
  std::optional<std::string> line(const std::string& prompt);

 private:
  struct Terminal;  // libedit's

  bool interactive_;
  std::unique_ptr<Terminal> terminal_;  // null: lines as they come
  std::string read_;                    // then: what was read and not given out yet
};

}  // namespace longspan::cli
