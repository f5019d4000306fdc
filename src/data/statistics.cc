#include "data/statistics.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "data/tokenise.h"

namespace longspan {

namespace {

int64_t code_points(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

CorpusStatistics corpus_statistics(const std::vector<std::filesystem::path>& files,
                                   const Tokenizer& tokenizer, const ReadingOptions& options,
                                   const Progress& progress) {
  CorpusStatistics statistics;
  auto add = [&](Document&& document, std::vector<int32_t>&& ids) {
    LengthStatistics& category = statistics.categories[document.category];
    category.lengths.push_back(static_cast<int64_t>(ids.size()));
    category.tokens += static_cast<int64_t>(ids.size());
    category.characters += code_points(document.text);
    category.bytes += static_cast<int64_t>(document.text.size());
  };
  TokenisedDocuments done = tokenise_documents(files, tokenizer, options, add, progress);
  statistics.reading = std::move(done.reading);
  statistics.complete = done.complete;
  return statistics;
}

std::vector<LengthBin> histogram(const std::vector<int64_t>& lengths, int64_t width, int64_t most) {
  assert(width > 0 && most >= 0);
  int64_t closed = (most + width - 1) / width;
  std::vector<LengthBin> bins;
  for (int64_t b = 0; b <= closed; ++b) bins.push_back({b * width, (b + 1) * width, 0, 0});
  bins.back().to = std::numeric_limits<int64_t>::max();
  for (int64_t length : lengths) {
    LengthBin& bin = bins[static_cast<size_t>(std::min(length / width, closed))];
    ++bin.documents;
    bin.tokens += length;
  }
  return bins;
}

int64_t length_quantile(std::vector<int64_t> lengths, double part) {
  if (lengths.empty()) return 0;
  auto n = static_cast<double>(lengths.size());
  auto at = lengths.begin() + static_cast<std::ptrdiff_t>(std::clamp(part * n, 0.0, n - 1));
  std::nth_element(lengths.begin(), at, lengths.end());
  return *at;
}

}  // namespace longspan
