#include "cli/progress_bar.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace longspan::cli {

namespace {

constexpr double kRedrawSeconds = 0.1;  // terminal
constexpr double kPlainSeconds = 10;    // file
constexpr int kLongestBar = 30, kShortestBar = 5;

int terminal_width() {
  struct winsize size {};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

double rate(int64_t done, double seconds) { return seconds > 0 ? static_cast<double>(done) / seconds : 0; }

std::string time_left(int64_t done, int64_t total, double seconds) {
  if (done <= 0) return "?";
  return human_seconds(seconds * static_cast<double>(total - done) / static_cast<double>(done));
}

}  // namespace

std::string bar_line(const std::string& label, int64_t done, int64_t total, double seconds, int width) {
  double part = total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0;
  std::string tail = fmt::format("{:3.0f}% {}/{} {:.0f} tokens/s {} left", part * 100, grouped(done),
                                 grouped(total), rate(done, seconds), time_left(done, total, seconds));
  int room = std::min(
      kLongestBar, width - static_cast<int>(label.size() + tail.size()) - 5);  // 2 blanks, 2 brackets, margin
  std::string line = label + " ";
  if (room >= kShortestBar) {
    auto full = static_cast<size_t>(part * room + 0.5);
    line += "[" + std::string(full, '#') + std::string(static_cast<size_t>(room) - full, '.') + "] ";
  }
  line += tail;
  return line.substr(0, static_cast<size_t>(std::max(0, width - 1)));
}

std::string plain_line(const std::string& label, int64_t done, int64_t total, double seconds) {
  std::string line = fmt::format("{}: {} of {} tokens, {:.0f} tokens/s, ", label, grouped(done),
                                 grouped(total), rate(done, seconds));
  return line + (done >= total ? human_seconds(seconds) : time_left(done, total, seconds) + " left");
}

ProgressBar::ProgressBar(std::string label, bool quiet)
    : label_(std::move(label)),
      quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO)),
      start_(seconds_now()),
      last_(start_) {}

ProgressBar::~ProgressBar() {
  if (drawn_ && terminal_) std::fputs("\r\033[K", stderr);
}

bool ProgressBar::update(int64_t done, int64_t total) {
  double now = seconds_now();
  bool last_line = !terminal_ && drawn_ && done >= total;
  if (!quiet_ && (now - last_ >= (terminal_ ? kRedrawSeconds : kPlainSeconds) || last_line)) {
    last_ = now;
    drawn_ = true;
    if (terminal_)
      fmt::print(stderr, "\r{}\033[K", bar_line(label_, done, total, now - start_, terminal_width()));
    else
      fmt::print(stderr, "{}\n", plain_line(label_, done, total, now - start_));
    std::fflush(stderr);
  }
  return !interrupted();
}

}  // namespace longspan::cli
