// Kinds of faiss indexes on the vectors of an index of passages, one question at a time: how many of the ten
// nearest each finds, and how many questions it answers a second.
//   retrieval_bench INDEX QUESTIONS     two directories of `longspan index`; the vectors of the second ask
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <set>

#include "base/error.h"
#include "base/threads.h"
#include "retrieval/store.h"

namespace {

using namespace longspan;
using Row = faiss::Index::idx_t;
constexpr Row kNearest = 10;

struct Vectors {
  int64_t width = 0;
  std::vector<float> all;
  Row rows() const { return static_cast<Row>(all.size()) / width; }
};

Vectors read_vectors(const char* directory) {
  retrieval::Store store = retrieval::Store::read(directory);
  Vectors v{.width = store.making().dimensions, .all = {}};
  retrieval::Statement rows = store.database().prepare("SELECT vector FROM vectors ORDER BY passage");
  while (rows.next()) {
    auto bytes = rows.bytes(0);
    size_t at = v.all.size();
    v.all.resize(at + static_cast<size_t>(v.width));
    std::memcpy(v.all.data() + at, bytes.data(),
                std::min(bytes.size(), static_cast<size_t>(v.width) * sizeof(float)));
  }
  return v;
}

double seconds_of(const std::function<void()>& body) {
  auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Row> answers(const faiss::Index& index, const Vectors& questions, double& seconds) {
  std::vector<Row> found(static_cast<size_t>(questions.rows() * kNearest));
  std::vector<float> cosines(kNearest);
  seconds = seconds_of([&] {
    for (Row q = 0; q < questions.rows(); ++q)
      index.search(1, questions.all.data() + q * questions.width, kNearest, cosines.data(),
                   found.data() + q * kNearest);
  });
  return found;
}

double recall(const std::vector<Row>& found, const std::vector<Row>& truth) {
  int64_t same = 0;
  for (size_t at = 0; at < truth.size(); at += kNearest) {
    std::set<Row> wanted(truth.begin() + static_cast<ptrdiff_t>(at),
                         truth.begin() + static_cast<ptrdiff_t>(at) + kNearest);
    for (size_t i = at; i < at + kNearest; ++i) same += wanted.contains(found[i]);
  }
  return static_cast<double>(same) / static_cast<double>(truth.size());
}

void run(const char* directory, const char* asking) {
  Vectors passages = read_vectors(directory), questions = read_vectors(asking);
  if (passages.width != questions.width || passages.rows() < 1000 || questions.rows() < 1)
    fail("{} and {}: two indexes of one embedder, the first with 1,000 passages or more", directory, asking);
  fmt::print("{} passages, {} questions, {} dimensions, {} threads\n\n", passages.rows(), questions.rows(),
             passages.width, threads());
  fmt::print("| index | made in s | recall@10 | questions/s |\n| --- | --- | --- | --- |\n");
  double seconds = 0;
  faiss::IndexFlatIP flat(passages.width);
  flat.add(passages.rows(), passages.all.data());
  std::vector<Row> truth = answers(flat, questions, seconds);
  auto row = [&](const std::string& name, double made, const faiss::Index& index) {
    std::vector<Row> found = answers(index, questions, seconds);
    fmt::print("| {} | {:.1f} | {:.4f} | {:.0f} |\n", name, made, recall(found, truth),
               static_cast<double>(questions.rows()) / seconds);
    std::fflush(stdout);
  };
  row("exact", 0, flat);
  faiss::IndexHNSWFlat graph(static_cast<int>(passages.width), 32, faiss::METRIC_INNER_PRODUCT);
  graph.hnsw.efConstruction = 80;
  double made = seconds_of([&] { graph.add(passages.rows(), passages.all.data()); });
  for (int width : {32, 64, 128, 256}) {
    graph.hnsw.efSearch = width;
    row(fmt::format("HNSW, 32 links, width {}", width), made, graph);
  }
  faiss::IndexFlatIP centres(passages.width);
  faiss::IndexIVFFlat lists(&centres, static_cast<size_t>(passages.width), 256, faiss::METRIC_INNER_PRODUCT);
  made = seconds_of([&] {
    lists.train(passages.rows(), passages.all.data());
    lists.add(passages.rows(), passages.all.data());
  });
  for (size_t probes : {4, 16, 64}) {
    lists.nprobe = probes;
    row(fmt::format("IVF, 256 lists, {} probed", probes), made, lists);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: retrieval_bench INDEX QUESTIONS\n");
    return 2;
  }
  set_threads(physical_cores());
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& e) {
    fmt::print(stderr, "retrieval_bench: {}\n", e.what());
    return 1;
  }
}
