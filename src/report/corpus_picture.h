// Length statistics of a corpus as JSON, and as a page of histograms by category, after the first figure of
// the Index long-context report.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "data/statistics.h"

namespace longspan {

/// Categories by descending number of tokens.
std::vector<std::pair<std::string, LengthStatistics>> largest_first(const CorpusStatistics& statistics);
/// All categories as one.
LengthStatistics all_categories(const CorpusStatistics& statistics);

/// bin, most; all and categories[] of {name, documents, tokens, characters, bytes, mean, median, p90,
/// longest, bins[] of {from, to (null: no end), documents, tokens}}; bad, faults[].
Json corpus_json(const CorpusStatistics& statistics, int64_t bin, int64_t most);

/// Writes the self-contained corpus.html into FOLDER (created if missing), and beside it lengths.svg and
/// .png: the share of documents and of tokens in each bin, for the whole corpus and its largest categories.
/// Without gnuplot the page has its table only, and says so.
void write_corpus_page(const std::filesystem::path& folder, const CorpusStatistics& statistics, int64_t bin,
                       int64_t most, const std::string& title);

}  // namespace longspan
