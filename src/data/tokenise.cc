#include "data/tokenise.h"

#include <algorithm>

#include "base/threads.h"

namespace longspan {

namespace {
constexpr size_t kBatchBytes = size_t{16} << 20;
constexpr size_t kBatchDocuments = 16384;
}  // namespace

TokenisedDocuments tokenise_documents(const std::vector<std::filesystem::path>& files,
                                      const Tokenizer& tokenizer, const ReadingOptions& options,
                                      const std::function<void(Document&&, std::vector<int32_t>&&)>& body,
                                      const Progress& progress) {
  TokenisedDocuments result;
  std::vector<Document> batch;
  size_t bytes = 0;
  int64_t tokens = 0;
  auto flush = [&] {
    std::vector<std::vector<int32_t>> ids(batch.size());
    parallel_for(static_cast<int64_t>(batch.size()), [&](int64_t i) {
      auto n = static_cast<size_t>(i);
      ids[n] = tokenizer.encode(batch[n].text, {.add_special = false, .parse_special = false});
    });
    double part = batch.empty() ? 1 : batch.back().part;
    for (size_t i = 0; i < batch.size(); ++i) {
      tokens += static_cast<int64_t>(ids[i].size());
      body(std::move(batch[i]), std::move(ids[i]));
    }
    batch.clear();
    bytes = 0;
    auto total = static_cast<int64_t>(static_cast<double>(tokens) / std::max(part, 1e-9));
    if (progress && !progress(tokens, total)) result.complete = false;
    return result.complete;
  };
  result.reading = read_documents(files, options, [&](Document&& document) {
    bytes += document.text.size();
    batch.push_back(std::move(document));
    return bytes < kBatchBytes && batch.size() < kBatchDocuments ? true : flush();
  });
  if (result.complete) flush();
  return result;
}

}  // namespace longspan
