// Searching an index: nearest vectors and words (BM25), fused by their ranks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "retrieval/store.h"
#include "retrieval/vectors.h"

namespace longspan::retrieval {

struct Fused {
  int64_t id = 0;
  double score = 0;
  std::vector<int64_t> ranks;  // in each list, from 1; 0: not there
};
/// Reciprocal rank fusion (Cormack 2009): score = sum over lists of 1 / (k + rank). The best first, equal
/// ones in the order of ids.
std::vector<Fused> fuse(std::span<const std::vector<int64_t>> lists, double k = 60);

struct Hit {
  StoredPassage passage;
  double score = 0;                        // of fuse
  int64_t vector_rank = 0, word_rank = 0;  // from 1; 0: not found this way
  double cosine = 0;                       // where vector_rank > 0
};

/// The store and the vectors must outlive the call. `query`: the question's vector. At most `most` hits, the
/// best first; each of the two lists goes at least kLeastDepth deep.
std::vector<Hit> search(const Store& store, const VectorIndex& vectors, const std::string& question,
                        std::span<const float> query, int64_t most);
constexpr int64_t kLeastDepth = 50;

}  // namespace longspan::retrieval
