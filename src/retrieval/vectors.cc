#include "retrieval/vectors.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "model/file_digest.h"

namespace longspan::retrieval {

namespace {

namespace fs = std::filesystem;

constexpr const char* kGraphFile = "graph.faiss";
constexpr const char* kGraphNote = "graph";  // digest of the file, its largest passage, how many it holds
constexpr int kLinks = 32, kWidthOfMaking = 80;
constexpr int64_t kLeastWidthOfSearch = 256;
constexpr int64_t kBlock = 4096;

struct GraphNote {
  std::string digest;
  int64_t last = 0, rows = 0;
};

GraphNote read_note(const Store& store) {
  GraphNote note;
  std::string text = store.note(kGraphNote);
  char digest[33] = {};
  long long last = 0, rows = 0;
  if (std::sscanf(text.c_str(), "%32s %lld %lld", digest, &last, &rows) != 3) return {};
  return {digest, last, rows};
}

bool is_whole(const Store& store, const GraphNote& note) {
  try {
    return file_digest(MappedFile(store.directory() / kGraphFile).bytes()) == note.digest;
  } catch (const Error&) {
    return false;
  }
}

/// Calls body(passage, vector) for the passages behind `after`, in the order of ids, until it returns false.
template <typename Body>
void each_vector(const Store& store, int64_t after, Body body) {
  auto width = static_cast<size_t>(store.making().dimensions);
  Statement rows =
      store.database().prepare("SELECT passage, vector FROM vectors WHERE passage > ?1 ORDER BY passage");
  rows.bind(after);
  std::vector<float> vector(width);
  while (rows.next()) {
    std::span<const std::byte> bytes = rows.bytes(1);
    if (bytes.size() != width * sizeof(float))
      fail("{}: the vector of passage {} has {} bytes, {} dimensions have {}; delete {} and make it again",
           store.database().file().string(), rows.whole(0), bytes.size(), width, width * sizeof(float),
           store.directory().string());
    std::memcpy(vector.data(), bytes.data(), bytes.size());
    if (!body(rows.whole(0), vector)) return;
  }
}

/// A mapped file as faiss reads one.
struct MappedReader : faiss::IOReader {
  std::span<const std::byte> left;
  size_t operator()(void* to, size_t size, size_t count) override {
    count = size > 0 ? std::min(count, left.size() / size) : 0;
    if (count > 0) std::memcpy(to, left.data(), size * count);
    left = left.subspan(size * count);
    return count;
  }
};

}  // namespace

struct VectorIndex::Impl {
  const Store& store;
  std::unique_ptr<faiss::Index> graph;
  std::vector<int64_t> ids;  // of the rows of `exact`
  faiss::IndexFlatIP exact;
  int64_t last = 0;  // the largest passage that was read
  std::string remark;

  explicit Impl(const Store& s) : store(s), exact(s.making().dimensions) {}
  void read_graph();
};

/// Nothing but what this program wrote is given to faiss, which believes what it reads.
void VectorIndex::Impl::read_graph() {
  GraphNote note = read_note(store);
  if (note.digest.empty()) return;
  fs::path file = store.directory() / kGraphFile;
  try {
    MappedFile mapped(file);
    if (file_digest(mapped.bytes()) != note.digest) fail("it is not the one that was written");
    MappedReader reader;
    reader.left = mapped.bytes();
    graph.reset(faiss::read_index(&reader));
    if (graph->d != store.making().dimensions) fail("it has {} dimensions", graph->d);
    last = note.last;
  } catch (const std::exception& e) {
    graph.reset();
    remark = fmt::format(
        "{}: the graph is not used ({}), all passages are compared; longspan index {} makes it "
        "again",
        file.string(), excerpt(e.what(), 200), store.directory().string());
  }
}

VectorIndex::VectorIndex(const Store& store) : impl_(std::make_unique<Impl>(store)) {
  impl_->read_graph();
  update();
}
VectorIndex::~VectorIndex() = default;
VectorIndex::VectorIndex(VectorIndex&&) noexcept = default;

int64_t VectorIndex::in_graph() const { return impl_->graph ? impl_->graph->ntotal : 0; }
const std::string& VectorIndex::remark() const { return impl_->remark; }

void VectorIndex::update() {
  std::vector<float> block;
  auto width = static_cast<size_t>(impl_->store.making().dimensions);
  auto flush = [&] {
    impl_->exact.add(static_cast<faiss::Index::idx_t>(block.size() / width), block.data());
    block.clear();
  };
  each_vector(impl_->store, impl_->last, [&](int64_t passage, const std::vector<float>& vector) {
    impl_->ids.push_back(passage);
    impl_->last = passage;
    block.insert(block.end(), vector.begin(), vector.end());
    if (block.size() >= kBlock * width) flush();
    return true;
  });
  if (!block.empty()) flush();
}

std::vector<Neighbour> VectorIndex::nearest(std::span<const float> query, int64_t most) const {
  std::vector<Neighbour> found;
  auto search = [&](const faiss::Index& index, int64_t k, auto id_of) {
    k = std::min<int64_t>(k, index.ntotal);
    if (k <= 0) return;
    std::vector<float> cosines(static_cast<size_t>(k));
    std::vector<faiss::Index::idx_t> rows(static_cast<size_t>(k));
    index.search(1, query.data(), k, cosines.data(), rows.data());
    for (size_t i = 0; i < rows.size(); ++i)
      if (rows[i] >= 0) found.push_back({id_of(rows[i]), cosines[i]});
  };
  if (impl_->graph) {
    // A tenth of the graph may have left the index.
    int64_t asked = most + most / 8 + 8;
    auto& map = dynamic_cast<faiss::IndexIDMap&>(*impl_->graph);
    dynamic_cast<faiss::IndexHNSW&>(*map.index).hnsw.efSearch =
        static_cast<int>(std::max(kLeastWidthOfSearch, 2 * asked));
    search(*impl_->graph, asked, [](int64_t id) { return id; });
  }
  search(impl_->exact, most, [&](int64_t row) { return impl_->ids[static_cast<size_t>(row)]; });
  std::stable_sort(found.begin(), found.end(),
                   [](const Neighbour& a, const Neighbour& b) { return a.cosine > b.cosine; });
  return found;
}

bool wants_graph(const Store& store, int64_t least) {
  int64_t rows = store.passage_count();
  if (rows < least) return false;
  GraphNote note = read_note(store);
  if (!is_whole(store, note)) return true;
  Statement row = store.database().prepare("SELECT count(*) FROM vectors WHERE passage <= ?1");
  row.bind(note.last).next();
  int64_t held = row.whole(0);
  return (rows - held) + (note.rows - held) > rows / 10;
}

bool make_graph(const Store& store, const Progress& progress) {
  int64_t total = store.passage_count(), done = 0, last = 0;
  auto width = static_cast<size_t>(store.making().dimensions);
  faiss::IndexHNSWFlat links(static_cast<int>(width), kLinks, faiss::METRIC_INNER_PRODUCT);
  links.hnsw.efConstruction = kWidthOfMaking;
  faiss::IndexIDMap graph(&links);
  std::vector<float> block;
  std::vector<faiss::Index::idx_t> ids;
  bool go_on = true;
  auto flush = [&] {
    graph.add_with_ids(static_cast<faiss::Index::idx_t>(ids.size()), block.data(), ids.data());
    done += std::ssize(ids);
    block.clear(), ids.clear();
    go_on = progress(done, total);
  };
  each_vector(store, 0, [&](int64_t passage, const std::vector<float>& vector) {
    ids.push_back(last = passage);
    block.insert(block.end(), vector.begin(), vector.end());
    if (std::ssize(ids) >= kBlock) flush();
    return go_on;
  });
  if (go_on && !ids.empty()) flush();
  if (!go_on) return false;
  fs::path file = store.directory() / kGraphFile, part = file.string() + ".part";
  try {
    faiss::write_index(&graph, part.c_str());
  } catch (const faiss::FaissException& e) {
    fail("{}: cannot be written ({}); make room on the disk", part.string(), excerpt(e.what(), 200));
  }
  std::string digest = file_digest(MappedFile(part).bytes());
  fs::rename(part, file);
  store.set_note(kGraphNote, fmt::format("{} {} {}", digest, last, done));
  return true;
}

}  // namespace longspan::retrieval
