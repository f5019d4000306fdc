// The few of many short texts that are nearest to a query in meaning: descriptions of tools, examples. Their
// vectors stay in memory; an index of documents is store.h.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "embed/embedder.h"

namespace longspan::retrieval {

class NearestTexts {
 public:
  /// Embeds the texts as keys. Error as Embedder.
  NearestTexts(Embedder embedder, std::span<const std::string> texts);
  /// Numbers of the `most` texts whose vectors have the greatest product with the query's, in the order of
  /// the texts. Of equal ones the earlier counts.
  std::vector<size_t> find(const std::string& query, size_t most) const;

 private:
  Embedder embedder_;
  std::vector<float> vectors_;  // [texts, dimensions]
};

}  // namespace longspan::retrieval
