// The nearest of many short texts: those of the greatest products, in the order of the texts.
#include "retrieval/nearest.h"

#include <numeric>

#include "retrieval/index_files.h"

namespace longspan::retrieval {
namespace {

TEST(Nearest, AreThoseOfTheGreatestProducts) {
  const std::vector<std::string> texts = {"a cat sat",           "the king", "a dog ran",
                                          "what is the capital", "the king", "a window"};
  Embedder embedder = tiny_embedder();
  std::vector<std::string> query = {"the king"};
  std::vector<float> q = embedder.embed(query, EmbedSide::Query),
                     keys = embedder.embed(texts, EmbedSide::Key);
  std::vector<double> products;
  for (size_t i = 0; i < texts.size(); ++i)
    products.push_back(std::inner_product(q.begin(), q.end(),
                                          keys.begin() + std::ssize(q) * static_cast<ptrdiff_t>(i), 0.0));
  NearestTexts nearest(tiny_embedder(), texts);
  EXPECT_EQ(nearest.find("the king", 2), (std::vector<size_t>{1, 4}));
  EXPECT_EQ(nearest.find("the king", 1), std::vector<size_t>{1}) << "of equal ones the earlier";
  std::vector<size_t> four = nearest.find("the king", 4);
  ASSERT_EQ(four.size(), 4u);
  EXPECT_TRUE(std::is_sorted(four.begin(), four.end()));
  double least = 2, most_of_others = -2;
  for (size_t i = 0; i < texts.size(); ++i)
    if (std::find(four.begin(), four.end(), i) != four.end())
      least = std::min(least, products[i]);
    else
      most_of_others = std::max(most_of_others, products[i]);
  EXPECT_GT(least, most_of_others);
  EXPECT_EQ(nearest.find("the king", 99).size(), texts.size());
  EXPECT_TRUE(NearestTexts(tiny_embedder(), {}).find("the king", 3).empty());
}

}  // namespace
}  // namespace longspan::retrieval
