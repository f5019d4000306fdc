// A program that was started to be a tool: its argument vector, never a shell; what it writes is read with
// limits on time and size; and it ends when we are done with it, with everything that it started in its
// process group.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace longspan::agent {

struct ChildLimits {
  double seconds = 30;                  // for one answer
  size_t most_bytes = size_t{1} << 20;  // of one answer
  std::function<bool()> go_on = {};     // asked several times a second; false: Ctrl-C
};

/// Why nothing came.
enum class ChildFault { None, Ended, Late, TooLarge, Interrupted };

class Child {
 public:
  /// Error when argv[0] cannot be started; `argv` is not empty.
  explicit Child(const std::vector<std::string>& argv);
  /// Closes its input, waits a second, then SIGTERM, another second, then SIGKILL.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// All of the text to its input.
  ChildFault write(std::string_view text, const ChildLimits& limits);
  void close_input();
  /// The next line of its output without its end; whole lines only.
  ChildFault read_line(std::string& line, const ChildLimits& limits);
  /// Its output to the end. At most limits.most_bytes of it are kept with TooLarge.
  ChildFault read_all(std::string& text, const ChildLimits& limits);
  /// Waits for its end, for up to a second: the exit status, 128 + signal, or -1 while it still runs.
  int wait_status();
  /// The last line that it wrote to its standard error; "".
  std::string last_words() const;

 private:
  using Clock = std::chrono::steady_clock;
  /// Waits for something to read or, with `writing`, for room to write.
  ChildFault wait(Clock::time_point end, const ChildLimits& limits, bool writing);
  void read_some(int& file, std::string& into, size_t most);
  bool gone(double seconds);

  pid_t process_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  std::string output_, errors_;
  int status_ = -1;
};

/// "the server ended", ...: for a sentence that names who.
std::string fault_text(ChildFault fault, const ChildLimits& limits);

}  // namespace longspan::agent
