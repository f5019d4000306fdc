// Layout of a shard, little-endian: "lspshard", u32 version, u32 bytes of an id, u64 vocabulary digest, u64
// vocabulary size; the ids; the index, for each document u64 end of its ids, u32 bytes of its id, u32 bytes
// of its category, both texts; u64 tokens, u64 documents, u64 xxHash64 of everything before. The counts are
// at the end, so that a shard is written in one pass.
#define XXH_INLINE_ALL
#include "data/shards.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>

#include "base/error.h"
#include "data/tokenise.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

static_assert(std::endian::native == std::endian::little, "shards are written as they lie in memory");

constexpr char kMagic[8] = {'l', 's', 'p', 's', 'h', 'a', 'r', 'd'};
constexpr uint32_t kVersion = 1;
constexpr int64_t kHeaderBytes = 32, kTrailerBytes = 24, kLeastIndexBytes = 16;
constexpr int64_t kNarrowVocabulary = 1 << 16;

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// Writes one shard. Destroyed without finish(), it leaves an unfinished file; the caller's folder is
/// temporary.
class ShardWriter {
 public:
  ShardWriter(const fs::path& path, int64_t vocabulary, uint64_t digest)
      : path_(path), out_(path, std::ios::binary | std::ios::trunc), wide_(vocabulary > kNarrowVocabulary) {
    if (!out_) fail("{}: cannot be written: {}", path_.string(), std::strerror(errno));
    XXH64_reset(&hash_, 0);
    write(kMagic, sizeof kMagic);
    put<uint32_t>(kVersion);
    put<uint32_t>(wide_ ? 4 : 2);
    put<uint64_t>(digest);
    put<uint64_t>(static_cast<uint64_t>(vocabulary));
  }

  void add(const std::vector<int32_t>& ids, const Document& document) {
    if (wide_) {
      write(ids.data(), ids.size() * 4);
    } else {
      narrow_.assign(ids.begin(), ids.end());
      write(narrow_.data(), narrow_.size() * 2);
    }
    tokens_ += static_cast<int64_t>(ids.size());
    index_.push_back({0, tokens_, document.id, document.category});
  }

  void finish() {
    for (const ShardDocument& document : index_) {
      put<uint64_t>(static_cast<uint64_t>(document.end));
      put<uint32_t>(static_cast<uint32_t>(document.id.size()));
      put<uint32_t>(static_cast<uint32_t>(document.category.size()));
      write(document.id.data(), document.id.size());
      write(document.category.data(), document.category.size());
    }
    put<uint64_t>(static_cast<uint64_t>(tokens_));
    put<uint64_t>(index_.size());
    put<uint64_t>(XXH64_digest(&hash_));
    out_.close();
    if (!out_) fail("{}: writing failed: {}", path_.string(), std::strerror(errno));
  }

  int64_t tokens() const { return tokens_; }

 private:
  template <typename T>
  void put(T value) {
    write(&value, sizeof value);
  }
  void write(const void* data, size_t bytes) {
    XXH64_update(&hash_, data, bytes);
    out_.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
    if (!out_) fail("{}: writing failed: {}", path_.string(), std::strerror(errno));
  }

  fs::path path_;
  std::ofstream out_;
  XXH64_state_t hash_;
  bool wide_;
  int64_t tokens_ = 0;
  std::vector<uint16_t> narrow_;
  std::vector<ShardDocument> index_;
};

}  // namespace

Shard::Shard(const fs::path& path) : file_(path) {
  std::span<const std::byte> bytes = file_.bytes();
  auto size = static_cast<int64_t>(bytes.size());
  std::string name = path.string();
  if (size < kHeaderBytes + kTrailerBytes || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    fail("{}: is no token shard of longspan", name);
  const std::byte* trailer = bytes.data() + size - kTrailerBytes;
  if (XXH64(bytes.data(), bytes.size() - 8, 0) != load<uint64_t>(trailer + 16))
    fail("{}: is damaged or cut off: its digest does not match; pack the corpus again", name);
  if (load<uint32_t>(bytes.data() + 8) != kVersion) fail("{}: is a shard of another version", name);
  // From here on only a forged file can be wrong, and it must not make us read outside the mapping.
  auto width = load<uint32_t>(bytes.data() + 12);
  wide_ = width == 4;
  vocabulary_digest_ = load<uint64_t>(bytes.data() + 16);
  auto vocabulary = load<uint64_t>(bytes.data() + 24);
  auto tokens = load<uint64_t>(trailer), documents = load<uint64_t>(trailer + 8);
  if (vocabulary > INT32_MAX) fail("{}: contradicts itself: a vocabulary of {}", name, vocabulary);
  auto body = static_cast<uint64_t>(size - kHeaderBytes - kTrailerBytes);
  if ((width != 2 && width != 4) || tokens > body / width ||
      documents > (body - tokens * width) / kLeastIndexBytes)
    fail("{}: contradicts itself: {} tokens and {} documents in {} bytes", name, tokens, documents, size);
  tokens_ = static_cast<int64_t>(tokens);
  ids_at_ = kHeaderBytes;
  const std::byte* at = bytes.data() + kHeaderBytes + tokens * width;
  documents_.reserve(documents);
  for (uint64_t d = 0, begin = 0; d < documents; ++d) {
    auto text = [&](size_t n) { return std::string(reinterpret_cast<const char*>(at), n); };
    if (trailer - at < kLeastIndexBytes) fail("{}: its index ends early", name);
    auto end = load<uint64_t>(at), id = uint64_t{load<uint32_t>(at + 8)},
         category = uint64_t{load<uint32_t>(at + 12)};
    at += kLeastIndexBytes;
    if (end < begin || end > tokens || id + category > static_cast<uint64_t>(trailer - at))
      fail("{}: its index is wrong at document {}", name, d);
    ShardDocument document{static_cast<int64_t>(begin), static_cast<int64_t>(end), text(id), ""};
    at += id;
    document.category = text(category);
    at += category;
    documents_.push_back(std::move(document));
    begin = end;
  }
  std::vector<int32_t> ids;
  for (int64_t begin = 0; begin < tokens_; begin += 1 << 16, ids.clear()) {
    read(begin, std::min(begin + (1 << 16), tokens_), ids);
    for (int32_t id : ids)
      if (static_cast<uint32_t>(id) >= vocabulary)
        fail("{}: holds the id {}, the vocabulary has {}", name, static_cast<uint32_t>(id), vocabulary);
  }
}

void Shard::read(int64_t begin, int64_t end, std::vector<int32_t>& out) const {
  assert(0 <= begin && begin <= end && end <= tokens_);
  const std::byte* ids = file_.bytes().data() + ids_at_;
  size_t old = out.size(), n = static_cast<size_t>(end - begin);
  if (n == 0) return;  // an empty vector has no place to copy to
  out.resize(old + n);
  if (wide_) {
    std::memcpy(out.data() + old, ids + begin * 4, n * 4);
  } else {
    for (size_t i = 0; i < n; ++i) out[old + i] = load<uint16_t>(ids + (static_cast<size_t>(begin) + i) * 2);
  }
}

namespace {

/// A folder next to the wanted one that is renamed to it when everything is written, and removed otherwise.
class FolderInMaking {
 public:
  explicit FolderInMaking(const fs::path& folder) : wanted_(folder.lexically_normal()) {
    if (wanted_.filename().empty()) wanted_ = wanted_.parent_path();  // "shards/" is "shards"
    if (fs::exists(wanted_) && (!fs::is_directory(wanted_) || !fs::is_empty(wanted_)))
      fail("{}: is there already and not empty; name another folder, or remove it", wanted_.string());
    making_ = wanted_;
    making_ += ".part";
    fs::remove_all(making_);  // left by a run that was killed
    std::error_code error;
    fs::create_directories(making_, error);
    if (error) fail("{}: cannot be made: {}", making_.string(), error.message());
  }
  ~FolderInMaking() {
    std::error_code ignored;
    fs::remove_all(making_, ignored);
  }
  FolderInMaking(const FolderInMaking&) = delete;
  FolderInMaking& operator=(const FolderInMaking&) = delete;

  fs::path file(size_t number) const { return making_ / fmt::format("{:05}.shard", number); }
  void put_in_place() {
    std::error_code error;
    fs::rename(making_, wanted_, error);  // replaces an empty folder, if there is one
    if (error) fail("{}: cannot be put in place: {}", wanted_.string(), error.message());
  }

 private:
  fs::path wanted_, making_;
};

}  // namespace

TokeniseReport tokenise(const std::vector<fs::path>& files, const Tokenizer& tokenizer,
                        const fs::path& folder, const TokeniseOptions& options, const Progress& progress) {
  FolderInMaking place(folder);
  TokeniseReport report;
  uint64_t digest = vocabulary_digest(tokenizer);
  int32_t bos = options.add_bos ? tokenizer.bos_id() : -1, eos = options.add_eos ? tokenizer.eos_id() : -1;
  size_t shards = 0;
  std::unique_ptr<ShardWriter> writer;
  auto finish = [&] {
    if (writer) writer->finish();
    writer.reset();
  };
  auto add = [&](Document&& document, std::vector<int32_t>&& ids) {
    if (!writer) writer = std::make_unique<ShardWriter>(place.file(shards++), tokenizer.vocab_size(), digest);
    if (bos >= 0) ids.insert(ids.begin(), bos);
    if (eos >= 0) ids.push_back(eos);
    writer->add(ids, document);
    report.tokens += static_cast<int64_t>(ids.size());
    if (writer->tokens() >= options.shard_tokens) finish();
  };
  TokenisedDocuments done = tokenise_documents(
      files, tokenizer, {.on_bad = options.on_bad, .encoding = options.encoding}, add, progress);
  report.reading = std::move(done.reading);
  if (!done.complete) return report;
  finish();
  if (shards == 0) fail("{}: no document to pack was found in the given files", folder.string());
  place.put_in_place();
  for (size_t i = 0; i < shards; ++i) report.shards.push_back(folder / fmt::format("{:05}.shard", i));
  return report;
}

uint64_t vocabulary_digest(const Tokenizer& tokenizer) {
  XXH64_state_t hash;
  XXH64_reset(&hash, 0);
  for (int64_t id = 0; id < tokenizer.vocab_size(); ++id) {
    std::string text = tokenizer.token_text(static_cast<int32_t>(id));
    auto size = static_cast<uint64_t>(text.size());
    XXH64_update(&hash, &size, sizeof size);
    XXH64_update(&hash, text.data(), text.size());
  }
  return XXH64_digest(&hash);
}

}  // namespace longspan
