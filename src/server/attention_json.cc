#include "server/attention_json.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/text.h"
#include "documents/place.h"

namespace longspan::server {

Json attended_windows(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                      std::span<const float> mass) {
  constexpr size_t kTokens = 32, kMost = 32;
  struct Window {
    double share;
    size_t first;
  };
  std::vector<Window> windows;
  double all = std::accumulate(mass.begin(), mass.end(), 0.0);
  size_t count = std::min(prompt.size(), mass.size());
  for (size_t first = 0; first < count && all > 0; first += kTokens) {
    auto part = mass.subspan(first, std::min(kTokens, count - first));
    windows.push_back({std::accumulate(part.begin(), part.end(), 0.0) / all, first});
  }
  std::sort(windows.begin(), windows.end(), [](const Window& a, const Window& b) {
    return a.share != b.share ? a.share > b.share : a.first < b.first;
  });
  std::string all_text;
  std::vector<size_t> offsets;  // of each token in the text
  for (int32_t id : prompt.first(count)) {
    offsets.push_back(all_text.size());
    all_text += tokenizer.token_bytes(id);
  }
  offsets.push_back(all_text.size());
  documents::Places places(all_text);
  Json out = Json::array();
  for (size_t i = 0; i < std::min(windows.size(), kMost); ++i) {
    size_t begin = offsets[windows[i].first], end = offsets[std::min(windows[i].first + kTokens, count)];
    Json window = {{"share", windows[i].share}, {"text", valid_utf8(all_text.substr(begin, end - begin))}};
    documents::Place place = places.at(begin);
    if (!place.file.empty()) window["file"] = valid_utf8(place.file);
    if (place.page > 0) window["page"] = place.page;
    if (place.chapter > 0) window["chapter"] = place.chapter;
    out.push_back(std::move(window));
  }
  return out;
}

}  // namespace longspan::server
