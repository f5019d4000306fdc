#include "retrieval/nearest.h"

#include <algorithm>
#include <numeric>

namespace longspan::retrieval {

NearestTexts::NearestTexts(Embedder embedder, std::span<const std::string> texts)
    : embedder_(std::move(embedder)), vectors_(embedder_.embed(texts, EmbedSide::Key)) {}

std::vector<size_t> NearestTexts::find(const std::string& query, size_t most) const {
  const std::string texts[] = {query};
  std::vector<float> q = embedder_.embed(texts, EmbedSide::Query);
  std::vector<float> products;
  for (auto at = vectors_.begin(); at != vectors_.end(); at += std::ssize(q))
    products.push_back(std::inner_product(q.begin(), q.end(), at, 0.0F));
  std::vector<size_t> numbers(products.size());
  std::iota(numbers.begin(), numbers.end(), 0);
  std::stable_sort(numbers.begin(), numbers.end(),
                   [&](size_t a, size_t b) { return products[a] > products[b]; });
  numbers.resize(std::min(most, numbers.size()));
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace longspan::retrieval
