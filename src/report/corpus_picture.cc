#include "report/corpus_picture.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "eval/wording.h"
#include "report/page_parts.h"
#include "report/style.h"

namespace longspan {

namespace {

constexpr size_t kMostPanels = 12;  // the whole corpus and its largest categories
constexpr int kColumns = 3, kPanelWidth = 330, kPanelHeight = 220;

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

Json category_json(const std::string& name, const LengthStatistics& s, int64_t width, int64_t most) {
  Json bins = Json::array();
  for (const LengthBin& bin : histogram(s.lengths, width, most))
    bins.push_back({{"from", bin.from},
                    {"to", bin.from < most ? Json(bin.to) : Json()},
                    {"documents", bin.documents},
                    {"tokens", bin.tokens}});
  auto documents = static_cast<int64_t>(s.lengths.size());
  return {{"name", name},
          {"documents", documents},
          {"tokens", s.tokens},
          {"characters", s.characters},
          {"bytes", s.bytes},
          {"mean", share(s.tokens, documents)},
          {"median", length_quantile(s.lengths, 0.5)},
          {"p90", length_quantile(s.lengths, 0.9)},
          {"longest", length_quantile(s.lengths, 1)},
          {"bins", bins}};
}

/// One panel: boxes for documents, a line of steps for tokens; percent over tokens / 1024.
std::string panel(size_t number, const std::string& name, const LengthStatistics& s, int64_t width,
                  int64_t most) {
  std::string out = fmt::format("$p{} << EOD\n", number);
  auto documents = static_cast<int64_t>(s.lengths.size());
  for (const LengthBin& bin : histogram(s.lengths, width, most))
    out += fmt::format("{:.6g} {:.4g} {:.4g}\n",
                       (static_cast<double>(bin.from) + static_cast<double>(width) / 2) / 1024,
                       100 * share(bin.documents, documents), 100 * share(bin.tokens, s.tokens));
  return out + fmt::format(
                   "EOD\nset title {} noenhanced\nplot $p{} using 1:2 with boxes title 'documents', '' using "
                   "1:3 with "
                   "histeps lw 2 title 'tokens'\n",
                   gnuplot_string(one_line(name)), number);
}

std::string panels(const std::vector<std::pair<std::string, LengthStatistics>>& shown, int64_t width,
                   int64_t most) {
  size_t rows = (shown.size() + kColumns - 1) / kColumns;
  std::string out = fmt::format(
      "set multiplot layout {},{}\nset style fill solid 0.6 noborder\nset boxwidth {} absolute\n"
      "set linetype 1 lc rgb '{}'\nset linetype 2 lc rgb '{}'\nset key inside top right vertical\n"
      "set xrange [0:{}]\nset yrange [0:105]\nset xlabel 'tokens / 1,024' offset 0,0.5\n"
      "set ylabel '%' offset 1.5,0\n",
      rows, kColumns, static_cast<double>(width) / 1024 * 0.9, series_ink(5), series_ink(1),
      static_cast<double>((most + width - 1) / width * width + width) / 1024);
  for (size_t i = 0; i < shown.size(); ++i) {
    out += panel(i, shown[i].first, shown[i].second, width, most);
    out += "unset key\n";
  }
  return out + "unset multiplot\n";
}

std::string table(const std::vector<std::pair<std::string, LengthStatistics>>& shown) {
  std::vector<std::vector<std::string>> rows = {
      {"category", "documents", "tokens", "characters a token", "median", "90 % below", "longest"}};
  for (const auto& [name, s] : shown)
    rows.push_back({name, grouped(std::ssize(s.lengths)), grouped(s.tokens),
                    fmt::format("{:.2f}", share(s.characters, s.tokens)),
                    grouped(length_quantile(s.lengths, 0.5)), grouped(length_quantile(s.lengths, 0.9)),
                    grouped(length_quantile(s.lengths, 1))});
  return html_table("Documents and their lengths in tokens", rows);
}

}  // namespace

std::vector<std::pair<std::string, LengthStatistics>> largest_first(const CorpusStatistics& statistics) {
  std::vector<std::pair<std::string, LengthStatistics>> sorted(statistics.categories.begin(),
                                                               statistics.categories.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.tokens > b.second.tokens; });
  return sorted;
}

LengthStatistics all_categories(const CorpusStatistics& statistics) {
  LengthStatistics all;
  for (const auto& [name, s] : statistics.categories) {
    all.lengths.insert(all.lengths.end(), s.lengths.begin(), s.lengths.end());
    all.tokens += s.tokens;
    all.characters += s.characters;
    all.bytes += s.bytes;
  }
  return all;
}

Json corpus_json(const CorpusStatistics& statistics, int64_t bin, int64_t most) {
  Json categories = Json::array();
  for (const auto& [name, s] : largest_first(statistics))
    categories.push_back(category_json(name, s, bin, most));
  return {{"bin", bin},
          {"most", most},
          {"all", category_json("all", all_categories(statistics), bin, most)},
          {"categories", categories},
          {"bad", statistics.reading.bad},
          {"faults", statistics.reading.faults}};
}

void write_corpus_page(const std::filesystem::path& folder, const CorpusStatistics& statistics, int64_t bin,
                       int64_t most, const std::string& title) {
  std::filesystem::create_directories(folder);
  auto shown = largest_first(statistics);
  shown.insert(shown.begin(), {"all", all_categories(statistics)});
  std::string body = table(shown);
  shown.resize(std::min(shown.size(), kMostPanels));
  auto rows = static_cast<int>((shown.size() + kColumns - 1) / kColumns);
  body += fmt::format(
      "<p>Share of the documents (boxes) and of the tokens (line) in each bin of {} tokens; the last bin "
      "holds "
      "all of {} tokens and more.</p>\n",
      bin, (most + bin - 1) / bin * bin);
  body +=
      html_picture(folder, "lengths",
                   {panels(shown, bin, most), "Share of documents and of tokens by length, for each category",
                    kColumns * kPanelWidth, rows * kPanelHeight});
  write_file_atomic(folder / "corpus.html", html_page(title, body));
}

}  // namespace longspan
