// What length statistics of a corpus look like: as JSON, and as histograms by category on one page, after the
// first figure of the Index long-context report.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "data/statistics.h"

namespace longspan {

/// Categories by falling tokens.
std::vector<std::pair<std::string, LengthStatistics>> largest_first(const CorpusStatistics& statistics);
/// All categories as one.
LengthStatistics all_categories(const CorpusStatistics& statistics);

/// bin, most; all and categories[] of {name, documents, tokens, characters, bytes, mean, median, p90,
/// longest, bins[] of {from, to (null: no end), documents, tokens}}; bad, faults[].
Json corpus_json(const CorpusStatistics& statistics, int64_t bin, int64_t most);

/// FOLDER (made when absent) gets corpus.html, which carries all, and beside it lengths.svg and .png: the
/// share of documents and of tokens in each bin, of the whole corpus and of its largest categories. Error as
/// draw says.
void write_corpus_page(const std::filesystem::path& folder, const CorpusStatistics& statistics, int64_t bin,
                       int64_t most, const std::string& title);

}  // namespace longspan
