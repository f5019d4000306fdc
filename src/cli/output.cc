#include "cli/output.h"

#include <sys/resource.h>

#include <chrono>

#include "base/text.h"

namespace longspan::cli {

void print_json(const Json& value) { print_now(dump_json(value) + "\n"); }

void print_now(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_fault(std::string sentence) {
  constexpr size_t kMostCharacters = 2000;
  for (char& c : sentence)
    if (c == '\n' || c == '\r') c = ' ';
  fmt::print(stderr, "longspan: {}\n", excerpt(sentence, kMostCharacters));
}

int64_t peak_bytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string shell_word(const std::string& word) {
  const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=+";
  if (!word.empty() && word.find_first_not_of(plain) == word.npos) return word;
  std::string out = "'";
  for (char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace longspan::cli
