// The nearest vectors of an index, by faiss: exact search, and from kGraphRows passages on a graph (HNSW;
// Malkov and Yashunin 2016, arXiv 1603.09320), which takes longer to make than to search a thousand times.
// The graph is the file graph.faiss, and the database knows its digest: one that is missing, damaged or old
// costs time and no answer, because passages that it lacks are searched exactly.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "retrieval/store.h"

namespace longspan::retrieval {

constexpr int64_t kGraphRows = 50000;

struct Neighbour {
  int64_t passage = 0;
  float cosine = 0;
};

class VectorIndex {
 public:
  /// Reads the graph, and all vectors that it lacks. Error when a vector does not have the dimensions of the
  /// index.
  explicit VectorIndex(const Store& store);
  ~VectorIndex();
  VectorIndex(VectorIndex&&) noexcept;

  /// Takes the passages that were added since.
  void update();
  /// The nearest first, `most` or a few more. Passages that have left the index since it was read, or since
  /// the graph was made, may be among them.
  std::vector<Neighbour> nearest(std::span<const float> query, int64_t most) const;
  /// How many passages the graph holds; 0: exact search only.
  int64_t in_graph() const;
  /// A graph that cannot be used, for people; "" otherwise.
  const std::string& remark() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether the passages of the store want a graph that is not there: there are `rows` of them or more, and a
/// tenth has come or gone since it was made.
bool wants_graph(const Store& store, int64_t rows = kGraphRows);
/// Makes the graph. False when progress asked to stop: then there is none, or the old one.
bool make_graph(const Store& store, const Progress& progress);

}  // namespace longspan::retrieval
