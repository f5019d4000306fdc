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

std::string time_left(double seconds) { return seconds < 0 ? "?" : human_seconds(seconds); }

}  // namespace

std::string bar_line(const std::string& label, int64_t done, int64_t total, double seconds, double left,
                     int width, const char* unit) {
  double part = total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0;
  std::string tail = fmt::format("{:3.0f}% {}/{} {:.0f} {}/s {} left", part * 100, grouped(done),
                                 grouped(total), rate(done, seconds), unit, time_left(left));
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

std::string plain_line(const std::string& label, int64_t done, int64_t total, double seconds, double left,
                       const char* unit) {
  std::string line = fmt::format("{}: {} of {} {}, {:.0f} {}/s, ", label, grouped(done), grouped(total), unit,
                                 rate(done, seconds), unit);
  return line + (done >= total ? human_seconds(seconds) : time_left(left) + " left");
}

ProgressBar::ProgressBar(std::string label, bool quiet, const char* unit)
    : label_(std::move(label)),
      unit_(unit),
      quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO)),
      start_(seconds_now()),
      last_(start_),
      at_(start_) {}

ProgressBar::ProgressBar(std::string label, bool quiet, int64_t from, ReadingTimes times)
    : ProgressBar(std::move(label), quiet) {
  from_ = from;
  warm_ = !times.empty();
  times_ = std::move(times);
}

ProgressBar::~ProgressBar() {
  if (drawn_ && terminal_) std::fputs("\r\033[K", stderr);
}

double ProgressBar::seconds_left(int64_t done, int64_t total, double seconds) const {
  if (done >= total) return 0;
  if (from_ && !times_.empty()) return times_.cost().seconds(*from_ + done, *from_ + total);
  return done > 0 ? seconds * static_cast<double>(total - done) / static_cast<double>(done) : -1;
}

bool ProgressBar::update(int64_t done, int64_t total) {
  double now = seconds_now();
  if (from_ && done > done_) {
    if (warm_) times_.add(*from_ + done_, *from_ + done, now - at_);
    warm_ = true;
    done_ = done, at_ = now;
  }
  bool last_line = !terminal_ && drawn_ && done >= total;
  if (!quiet_ && (now - last_ >= (terminal_ ? kRedrawSeconds : kPlainSeconds) || last_line)) {
    last_ = now;
    drawn_ = true;
    double seconds = now - start_, left = seconds_left(done, total, seconds);
    if (terminal_)
      fmt::print(stderr, "\r{}\033[K", bar_line(label_, done, total, seconds, left, terminal_width(), unit_));
    else
      fmt::print(stderr, "{}\n", plain_line(label_, done, total, seconds, left, unit_));
    std::fflush(stderr);
  }
  return !interrupted();
}

ReadingTimes announce_reading(Sequence& sequence, const Options& o, int64_t tokens, bool scored) {
  constexpr double kWorthSaying = 5;
  if (o.quiet || !sequence.ids().empty()) return {};
  ReadingTimes times = measure_reading(sequence, tokens, scored);
  double seconds = times.cost().seconds(0, tokens);
  if (seconds >= kWorthSaying)
    remark(o, "reading {} tokens will take about {}", grouped(tokens), human_seconds(seconds));
  return times;
}

}  // namespace longspan::cli
