#include "cli/document_cache.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"

namespace longspan::cli {

namespace {

namespace fs = std::filesystem;

/// Of --cache-size: 4 GiB, but at most a quarter of what the disk could give.
int64_t default_limit(const fs::path& folder) {
  constexpr uintmax_t kMost = uintmax_t{4} << 30, kShare = 4;
  std::error_code error;
  fs::space_info space = fs::space(folder, error);
  uintmax_t room = error ? kMost : space.available;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (uintmax_t size = at->file_size(gone); !gone) room += size;
  }
  return static_cast<int64_t>(std::min(kMost, room / kShare));
}

std::optional<ReadingStore> open_store(const Engine& engine, const Options& o) {
  if (o.no_cache && !o.cache.empty()) fail("--cache and --no-cache exclude each other; give one of them");
  if (o.no_cache) return {};
  auto open = [&](const fs::path& folder) {
    ReadingStore store(engine, folder, 0);  // makes the folder, whose disk is looked at next
    return ReadingStore(engine, folder, o.cache_size > 0 ? o.cache_size : default_limit(folder));
  };
  if (!o.cache.empty()) return open(o.cache);
  try {
    return open(cache_dir() / "readings");
  } catch (const Error& e) {
    remark(o, "documents are not kept: {}", e.what());
    return {};
  }
}

int64_t common_tokens(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

int64_t common_end(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend()).first - a.rbegin();
}

/// The last `bytes` of a text, or a little less: whole characters.
std::string end_of(const std::string& text, size_t bytes) {
  size_t at = text.size() - bytes;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return text.substr(at);
}

int64_t shared_by_all(std::span<const int32_t> ids, const std::string& document, const PromptAbout& prompt) {
  int64_t shared = std::ssize(ids) - 1;
  for (const char* question : kUnlikeQuestions)
    shared = std::min(shared, common_tokens(ids, prompt(document, question)));
  return shared;
}

}  // namespace

void add_cache_options(CLI::App& app, Options& o) {
  app.add_option("--cache", o.cache, "folder that keeps what was read; default in the user's cache");
  app.add_option("--cache-size", o.cache_size, "of that folder at most: 500M, 20G; default 4G")
      ->transform(CLI::AsSizeValue(false).description(""));
  app.add_flag("--no-cache", o.no_cache, "keep nothing that was read, and use nothing kept");
}

int64_t shared_tokens(std::span<const int32_t> ids, const std::string& document, const PromptAbout& prompt) {
  constexpr size_t kEnd = 4096;         // bytes
  constexpr int64_t kSameBefore = 128;  // tokens before the question, split alike: so is the rest
  if (document.size() > 2 * kEnd) {
    const std::string end = end_of(document, kEnd);
    const std::vector<int32_t> about_end = prompt(end, nullptr);
    int64_t behind = std::ssize(about_end) - shared_by_all(about_end, end, prompt);
    if (common_end(ids, about_end) >= behind + kSameBefore) return std::ssize(ids) - behind;
  }
  return shared_by_all(ids, document, prompt);
}

int64_t document_tokens(const Engine& engine, std::span<const int32_t> ids, const std::string& document,
                        const PromptAbout& prompt) {
  if (!reading_obstacle(engine.config().position).empty()) return 0;
  int64_t shared = shared_tokens(ids, document, prompt);
  return shared >= kLeastKeptTokens ? shared : 0;
}

int64_t shared_length(int64_t document, int64_t needed) {
  if (document == 0) return needed;
  int64_t rest = 512;
  while (document + rest < needed) rest *= 2;
  return document + rest;
}

DocumentCache::DocumentCache(const Engine& engine, const Options& o)
    : engine_(engine), o_(o), store_(open_store(engine, o)) {
  std::string obstacle = reading_obstacle(engine.config().position);
  if (store_ && !obstacle.empty()) {
    remark(o, "{}", obstacle);
    store_.reset();
  }
}

DocumentCache::Held DocumentCache::recall(Sequence& sequence, const Prompt& prompt) {
  Held held;
  int64_t most = reusable_before_eviction(std::ssize(prompt.ids), engine_.options().eviction);
  held.tokens = std::min(common_tokens(sequence.ids(), prompt.ids), std::max(most, prompt.document));
  if (document_ == prompt.document && held.tokens >= document_) {
    sequence.truncate(held.tokens);
    return held;
  }
  int64_t chunk = engine_.options().chunk;
  std::span<const int32_t> read(sequence.ids());
  read = read.first(std::min(read.size(), static_cast<size_t>(document_)));
  held.tokens = reusable_tokens(read, prompt.ids, prompt.document, chunk);
  if (store_ && held.tokens < prompt.document) {
    ReadingStore::Found found = store_->find(sequence, prompt.ids, prompt.document, held.tokens);
    for (const std::string& sentence : found.remarks) remark(o_, "{}", sentence);
    if (found.tokens > 0) held = {found.tokens, found.tokens};
  }
  held.tokens = std::min(held.tokens, std::ssize(sequence.ids()));
  sequence.truncate(held.tokens);
  document_ = held.tokens;
  kept_ = held.tokens == prompt.document;
  return held;
}

void DocumentCache::read(const Prompt& prompt, int64_t tokens) {
  if (document_ == prompt.document) return;
  int64_t chunk = engine_.options().chunk;
  document_ = tokens >= prompt.document ? prompt.document : tokens / chunk * chunk;
  kept_ = false;
}

void DocumentCache::keep(const Sequence& sequence) {
  if (!store_ || kept_ || document_ < kLeastKeptTokens) return;
  kept_ = true;  // or never
  try {
    store_->keep(sequence, document_);
  } catch (const Error& e) {
    remark(o_, "the document is not kept: {}", e.what());
  }
}

}  // namespace longspan::cli
