// Length statistics of a corpus in tokens: the first figure of the Index long-context report, for any corpus.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "data/documents.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

struct LengthStatistics {
  std::vector<int64_t> lengths;  // tokens of each document, in order
  int64_t tokens = 0, characters = 0, bytes = 0;
};
struct CorpusStatistics {
  std::map<std::string, LengthStatistics> categories;
  ReadingReport reading;
  bool complete = true;  // false: progress asked to stop
};
/// Lengths do not count begin and end tokens. Errors as read_documents.
CorpusStatistics corpus_statistics(const std::vector<std::filesystem::path>& files,
                                   const Tokenizer& tokenizer, const ReadingOptions& options,
                                   const Progress& progress);

struct LengthBin {
  int64_t from = 0, to = 0;  // tokens: from <= length < to
  int64_t documents = 0, tokens = 0;
};
/// Bins of `width` tokens from 0 on; the last begins at `most` (rounded up to whole bins) and has no end.
std::vector<LengthBin> histogram(const std::vector<int64_t>& lengths, int64_t width, int64_t most);
/// The length that `part` (0..1) of the documents are below; 0 when there are none.
int64_t length_quantile(std::vector<int64_t> lengths, double part);

}  // namespace longspan
