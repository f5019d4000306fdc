// Progress of long work on stderr: one redrawn line on a terminal, an occasional plain line in a file.
#pragma once

#include <cstdint>
#include <string>

namespace longspan::cli {

/// "reading [#####.....]  50% 8,192/16,384 812 tokens/s 10s left", at most `width` columns: the bar is
/// shortened first.
std::string bar_line(const std::string& label, int64_t done, int64_t total, double seconds, int width);
/// "reading: 8,192 of 16,384 tokens, 812 tokens/s, 10s left"
std::string plain_line(const std::string& label, int64_t done, int64_t total, double seconds);

class ProgressBar {
 public:
  /// Starts counting tokens. A quiet bar draws nothing but still watches for Ctrl-C.
  ProgressBar(std::string label, bool quiet);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// A Progress: false once Ctrl-C came.
  bool update(int64_t done, int64_t total);

 private:
  std::string label_;
  bool quiet_, terminal_;
  bool drawn_ = false;
  double start_, last_;
};

}  // namespace longspan::cli
