// Progress of long work on stderr: one redrawn line on a terminal, an occasional plain line in a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/options.h"
#include "generate/reading_cost.h"

namespace longspan::cli {

/// "reading [#####.....]  50% 8,192/16,384 812 tokens/s 10s left", at most `width` columns: the bar is
/// shortened first. `left`: seconds; below 0: unknown.
std::string bar_line(const std::string& label, int64_t done, int64_t total, double seconds, double left,
                     int width, const char* unit = "tokens");
/// "reading: 8,192 of 16,384 tokens, 812 tokens/s, 10s left"
std::string plain_line(const std::string& label, int64_t done, int64_t total, double seconds, double left,
                       const char* unit = "tokens");

class ProgressBar {
 public:
  /// Starts counting `unit`. A quiet bar draws nothing but still watches for Ctrl-C. The rest is expected to
  /// be as fast as what is done.
  ProgressBar(std::string label, bool quiet, const char* unit = "tokens");
  /// Of a text that is read from its token `from` on: tokens cost more the further back they look. `times`:
  /// what is known of that already.
  ProgressBar(std::string label, bool quiet, int64_t from, ReadingTimes times);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// A Progress: false once Ctrl-C came.
  bool update(int64_t done, int64_t total);

 private:
  double seconds_left(int64_t done, int64_t total, double seconds) const;

  std::string label_;
  const char* unit_;
  bool quiet_, terminal_;
  bool drawn_ = false;
  double start_, last_;
  std::optional<int64_t> from_;  // null: no text, or several
  ReadingTimes times_;
  bool warm_ = false;  // a first piece is slower than the others and not counted, unless times were known
  int64_t done_ = 0;
  double at_;  // when the last piece was done
};

/// Says how long a text of `tokens` tokens will take to be read, if that is long enough to say, from
/// measure_reading; nothing is measured when the sequence holds something or --quiet is given.
ReadingTimes announce_reading(Sequence& sequence, const Options& o, int64_t tokens, bool scored);

}  // namespace longspan::cli
