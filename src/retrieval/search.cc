#include "retrieval/search.h"

#include <algorithm>
#include <map>

namespace longspan::retrieval {

std::vector<Fused> fuse(std::span<const std::vector<int64_t>> lists, double k) {
  std::map<int64_t, Fused> by_id;
  for (size_t list = 0; list < lists.size(); ++list)
    for (size_t i = 0; i < lists[list].size(); ++i) {
      Fused& one = by_id[lists[list][i]];
      one.ranks.resize(lists.size());
      if (one.ranks[list] > 0) continue;  // a list that names it twice counts once
      one.id = lists[list][i];
      one.ranks[list] = static_cast<int64_t>(i) + 1;
      one.score += 1 / (k + static_cast<double>(one.ranks[list]));
    }
  std::vector<Fused> all;
  for (auto& [id, one] : by_id) all.push_back(std::move(one));
  std::stable_sort(all.begin(), all.end(), [](const Fused& a, const Fused& b) { return a.score > b.score; });
  return all;
}

std::vector<Hit> search(const Store& store, const VectorIndex& vectors, const std::string& question,
                        std::span<const float> query, int64_t most) {
  int64_t depth = std::max(most, kLeastDepth);
  std::vector<std::vector<int64_t>> lists(2);
  std::map<int64_t, double> cosines;
  for (const Neighbour& n : vectors.nearest(query, depth)) {
    lists[0].push_back(n.passage);
    cosines[n.passage] = n.cosine;
  }
  lists[1] = store.find_words(question, depth);
  std::vector<Hit> hits;
  for (const Fused& one : fuse(lists)) {
    if (std::ssize(hits) == most) break;
    std::optional<StoredPassage> passage = store.passage(one.id);
    if (!passage) continue;  // it has left since
    hits.push_back({std::move(*passage), one.score, one.ranks[0], one.ranks[1], cosines[one.id]});
  }
  return hits;
}

}  // namespace longspan::retrieval
