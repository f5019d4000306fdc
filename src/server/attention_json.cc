#include "server/attention_json.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/text.h"

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
  Json out = Json::array();
  for (size_t i = 0; i < std::min(windows.size(), kMost); ++i) {
    std::string text;
    for (int32_t id : prompt.subspan(windows[i].first, std::min(kTokens, count - windows[i].first)))
      text += tokenizer.token_bytes(id);
    out.push_back({{"share", windows[i].share}, {"text", valid_utf8(text)}});
  }
  return out;
}

}  // namespace longspan::server
