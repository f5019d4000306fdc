#include "retrieval/indexer.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "documents/document.h"
#include "documents/folder.h"
#include "model/file_digest.h"

namespace longspan::retrieval {

namespace {

namespace fs = std::filesystem;

constexpr size_t kPassagesAtOnce = 32;

/// Absolute, each once, in their order: those named, then those that the index has.
std::vector<std::string> all_paths(const std::vector<fs::path>& files,
                                   const std::map<std::string, StoredDocument>& known,
                                   const IndexHandlers& handlers) {
  std::vector<std::string> paths;
  std::set<std::string> seen;
  auto add = [&](const fs::path& file) {
    std::string path = fs::weakly_canonical(fs::absolute(file)).string();
    if (seen.insert(path).second) paths.push_back(path);
  };
  for (const fs::path& file : files) {
    if (!fs::is_directory(file)) {
      add(file);
      continue;
    }
    documents::Folder folder = documents::list_folder(file);
    if (!folder.left.empty() || folder.files.empty()) handlers.remark(folder.remark);
    for (const fs::path& one : folder.files) add(one);
  }
  for (const auto& [path, document] : known)
    if (seen.insert(path).second) paths.push_back(path);
  return paths;
}

/// Size and time of a file; the size is 0 when it cannot be looked at.
StoredDocument looked_at(const std::string& path) {
  StoredDocument now{.path = path};
  std::error_code error;
  auto size = fs::file_size(path, error);
  now.size = error ? 0 : static_cast<int64_t>(size);
  auto time = fs::last_write_time(path, error);
  now.modified = error ? 0 : static_cast<int64_t>(time.time_since_epoch().count());
  return now;
}

/// One run.
class Indexer {
 public:
  Indexer(const Store& store, const Embedder& embedder, const std::string& encoding,
          const IndexHandlers& handlers)
      : store_(store), embedder_(embedder), encoding_(encoding), handlers_(handlers) {
    for (StoredDocument& document : store.documents()) known_[document.path] = document;
  }

  IndexReport run(const std::vector<fs::path>& files) {
    std::vector<StoredDocument> work;
    for (const std::string& path : all_paths(files, known_, handlers_)) {
      StoredDocument now = looked_at(path);
      auto before = known_.find(path);
      if (before == known_.end())
        work.push_back(now);
      else if (std::error_code error; !fs::exists(path, error) && !error)
        leave(path);
      else if (before->second.size != now.size || before->second.modified != now.modified)
        work.push_back(now);
      else
        ++report_.unchanged;
    }
    for (const StoredDocument& document : work) total_ += document.size;
    for (StoredDocument& document : work) {
      try {
        take(document);
      } catch (const Unreadable& fault) {
        report_.faults.push_back(fault.sentence);
      }
      if (!report_.complete) break;
      done_ += document.size;
    }
    return report_;
  }

 private:
  struct Unreadable {
    std::string sentence;
  };

  void leave(const std::string& path) {
    Transaction transaction(store_.database());
    store_.remove(path);
    transaction.commit();
    ++report_.removed;
  }

  /// What is wrong with a file is no fault of the index.
  template <typename Read>
  static auto readable(Read read) {
    try {
      return read();
    } catch (const Error& e) {
      throw Unreadable{e.what()};
    }
  }

  void take(StoredDocument& document) {
    document.digest = readable([&] { return file_digest(MappedFile(document.path).bytes()); });
    auto before = known_.find(document.path);
    if (before != known_.end() && before->second.digest == document.digest) {
      Transaction transaction(store_.database());
      store_.touch(document);
      transaction.commit();
      ++report_.unchanged;
      return;
    }
    documents::Reading reading =
        readable([&] { return documents::read_document(fs::path(document.path), encoding_); });
    for (const std::string& sentence : reading.remarks) handlers_.remark(sentence);
    EmbeddedText embedded =
        embed_text(embedder_, store_.making().cutting, reading.text, [&](int64_t done, int64_t total) {
          double part = static_cast<double>(done) / static_cast<double>(total);
          auto bytes = static_cast<double>(document.size) * part;
          return handlers_.progress(done_ + static_cast<int64_t>(bytes), total_);
        });
    report_.complete = embedded.complete;
    if (!embedded.complete) return;
    Transaction transaction(store_.database());
    store_.put(document, reading.text, embedded.passages, embedded.vectors);
    transaction.commit();
    ++report_.read;
    report_.passages += std::ssize(embedded.passages);
    report_.tokens += embedded.tokens;
  }

  const Store& store_;
  const Embedder& embedder_;
  const std::string& encoding_;
  const IndexHandlers& handlers_;
  std::map<std::string, StoredDocument> known_;
  int64_t done_ = 0, total_ = 0;
  IndexReport report_;
};

}  // namespace

int64_t most_passage_tokens(const Embedder& embedder) {
  return embedder.max_tokens() - std::ssize(embedder.encode("", EmbedSide::Key));
}

EmbeddedText embed_text(const Embedder& embedder, const Cutting& cutting, std::string_view text,
                        const Progress& progress) {
  EmbeddedText out;
  out.passages =
      cut_passages(text, cutting, [&](std::string_view part) { return embedder.count_tokens(part); });
  for (size_t at = 0; at < out.passages.size();) {
    std::vector<std::vector<int32_t>> ids;
    for (size_t end = std::min(at + kPassagesAtOnce, out.passages.size()); at < end; ++at) {
      const Passage& p = out.passages[at];
      ids.push_back(embedder.encode(text.substr(p.begin, p.end - p.begin), EmbedSide::Key));
      out.tokens += std::ssize(ids.back());
    }
    std::vector<float> vectors = embedder.embed_encoded(ids);
    out.vectors.insert(out.vectors.end(), vectors.begin(), vectors.end());
    out.complete = progress(static_cast<int64_t>(out.passages[at - 1].end), std::ssize(text));
    if (!out.complete) break;
  }
  return out;
}

IndexReport update_index(const Store& store, const Embedder& embedder, const std::vector<fs::path>& files,
                         const std::string& encoding, const IndexHandlers& handlers) {
  return Indexer(store, embedder, encoding, handlers).run(files);
}

}  // namespace longspan::retrieval
