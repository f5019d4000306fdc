#include "cli/line_editor.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cli/interrupt.h"

#ifdef LONGSPAN_LIBEDIT
#include <histedit.h>
#include <langinfo.h>

#include <clocale>
#include <cwchar>
#endif

namespace longspan::cli {

Completion complete_word(std::string_view line, std::span<const std::string> words) {
  Completion result;
  if (line.empty()) return result;
  for (const std::string& word : words)
    if (word.starts_with(line)) result.choices.push_back(word);
  if (result.choices.empty()) return result;
  std::string common = result.choices[0];
  for (const std::string& word : result.choices)
    common.resize(static_cast<size_t>(
        std::mismatch(common.begin(), common.end(), word.begin(), word.end()).first - common.begin()));
  result.insert = common.substr(line.size());
  if (result.choices.size() == 1) result.insert += ' ';
  if (!result.insert.empty()) result.choices.clear();
  return result;
}

std::optional<std::string> read_message(const std::function<std::optional<std::string>(bool first)>& line) {
  constexpr std::string_view kQuotes = "\"\"\"";
  std::optional<std::string> message = line(true);
  if (!message) return message;
  if (message->starts_with(kQuotes)) {
    std::string text = message->substr(kQuotes.size());
    while (!text.ends_with(kQuotes)) {
      std::optional<std::string> more = line(false);
      if (!more) return text;
      text += (text.empty() ? "" : "\n") + *more;
    }
    text.resize(text.size() - kQuotes.size());
    if (text.ends_with('\n')) text.pop_back();
    return text;
  }
  while (message->ends_with('\\')) {
    message->back() = '\n';
    std::optional<std::string> more = line(false);
    if (!more) break;
    *message += *more;
  }
  return message;
}

#ifdef LONGSPAN_LIBEDIT

struct LineEditor::Terminal {
  Terminal(std::vector<std::string> w, std::filesystem::path h) : words(std::move(w)), file(std::move(h)) {
    // libedit decodes what is typed by the locale; everything else here is UTF-8.
    std::setlocale(LC_CTYPE, "");
    if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
    edit = ::el_init("longspan", stdin, stderr, stderr);
    history = ::history_init();
    if (!edit || !history) return;
    ::history(history, &event, H_SETSIZE, 1000);
    ::history(history, &event, H_SETUNIQUE, 1);
    if (!file.empty()) ::history(history, &event, H_LOAD, file.c_str());
    ::el_set(edit, EL_CLIENTDATA, this);
    ::el_set(edit, EL_EDITOR, "emacs");
    ::el_set(edit, EL_PROMPT, &prompt_of);
    ::el_set(edit, EL_HIST, ::history, history);
    ::el_set(edit, EL_GETCFN, &read_character);
    ::el_set(edit, EL_ADDFN, "longspan-complete", "completes commands and paths", &complete);
    ::el_set(edit, EL_BIND, "^I", "longspan-complete", nullptr);
    ::el_set(edit, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    ::el_source(edit, nullptr);
  }
  ~Terminal() {
    if (history && !file.empty()) {
      std::error_code ignored;
      std::filesystem::create_directories(file.parent_path(), ignored);
      ::history(history, &event, H_SAVE, file.c_str());
    }
    if (edit) ::el_end(edit);
    if (history) ::history_end(history);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  std::optional<std::string> line(const std::string& shown) {
    prompt = shown;
    for (;;) {
      ::el_resize(edit);
      // Before the prompt: until then the terminal itself echoes what is typed, and Ctrl-C discards it
      // unseen.
      ::el_set(edit, EL_PREP_TERM, 1);
      int count = 0;
      const char* typed = ::el_gets(edit, &count);
      if (typed && count > 0) {
        std::string text(typed, static_cast<size_t>(count));
        if (text.find_first_not_of(" \t\r\n") != std::string::npos)
          ::history(history, &event, H_ENTER, text.c_str());
        if (text.ends_with('\n')) text.pop_back();
        return text;
      }
      if (!interrupted() || !unfinished) return {};
      fmt::print(stderr, "^C\n");
      arm_interrupt();
    }
  }

  static Terminal& of(EditLine* edit) {
    void* self = nullptr;
    ::el_get(edit, EL_CLIENTDATA, &self);
    return *static_cast<Terminal*>(self);
  }
  static char* prompt_of(EditLine* edit) { return of(edit).prompt.data(); }

  /// libedit's own reads on after Ctrl-C.
  static int read_character(EditLine* edit, wchar_t* out) {
    std::mbstate_t state{};
    for (;;) {
      if (!wait_readable(STDIN_FILENO)) {
        const LineInfo* line = ::el_line(edit);
        of(edit).unfinished = line->lastchar != line->buffer;
        return -1;
      }
      char byte;
      ssize_t got = ::read(STDIN_FILENO, &byte, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return static_cast<int>(got);
      size_t length = std::mbrtowc(out, &byte, 1, &state);
      if (length == static_cast<size_t>(-2)) continue;
      if (length == static_cast<size_t>(-1)) *out = L'\ufffd';
      return 1;
    }
  }

  static unsigned char complete(EditLine* edit, int key) {
    const LineInfo* info = ::el_line(edit);
    std::string_view line(info->buffer, static_cast<size_t>(info->cursor - info->buffer));
    const std::vector<std::string>& words = of(edit).words;
    auto begins = [&](const std::string& word) { return line.starts_with(word + " "); };
    if (std::any_of(words.begin(), words.end(), begins)) return ::_el_fn_complete(edit, key);
    Completion c = complete_word(line, words);
    if (!c.insert.empty()) return ::el_insertstr(edit, c.insert.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
    if (c.choices.empty()) return CC_REFRESH_BEEP;
    std::string list = "\n";
    for (const std::string& word : c.choices) list += word + "  ";
    fmt::print(stderr, "{}\n", list);
    return CC_REDISPLAY;
  }

  std::vector<std::string> words;
  std::filesystem::path file;
  std::string prompt;
  EditLine* edit = nullptr;
  History* history = nullptr;
  HistEvent event{};
  bool unfinished = false;  // the line that Ctrl-C met was not empty
};

#else

struct LineEditor::Terminal {
  std::optional<std::string> line(const std::string&) { return {}; }
};

#endif

LineEditor::LineEditor([[maybe_unused]] std::vector<std::string> words,
                       [[maybe_unused]] std::filesystem::path history)
    : interactive_(::isatty(STDIN_FILENO) == 1) {
#ifdef LONGSPAN_LIBEDIT
  if (!interactive_ || ::isatty(STDERR_FILENO) != 1) return;
  terminal_ = std::make_unique<Terminal>(std::move(words), std::move(history));
  if (!terminal_->edit || !terminal_->history) terminal_.reset();
#endif
}

LineEditor::~LineEditor() = default;

std::optional<std::string> LineEditor::line(const std::string& prompt) {
  if (terminal_) return terminal_->line(prompt);
  if (interactive_) fmt::print(stderr, "{}", prompt);
  size_t end;
  while ((end = read_.find('\n')) == read_.npos) {
    char bytes[4096];
    // A read that has begun would not notice a Ctrl-C that came before it.
    if (!wait_readable(STDIN_FILENO)) return {};
    ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    read_.append(bytes, static_cast<size_t>(got));
  }
  if (end == read_.npos && read_.empty()) return {};
  std::string text = read_.substr(0, end);
  read_.erase(0, end == read_.npos ? end : end + 1);
  if (text.ends_with('\r')) text.pop_back();  // typed or piped on Windows
  return text;
}

}  // namespace longspan::cli
