#include "model/kv_pool.h"

#include <algorithm>
#include <cassert>
#include <cctype>
#include <utility>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"
#include "base/threads.h"
#include "kernels/cache_codes.h"

namespace longspan {

namespace {

std::string lower_name(DType type) {
  std::string text = name(type);
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

DType cache_type(std::string_view name, std::string_view whole) {
  for (DType type : cache_dtypes())
    if (dtype_from_name(name) == type) return type;
  std::vector<std::string> known;
  for (DType type : cache_dtypes()) known.push_back(lower_name(type));
  fail("cache type {}{}: expected one of {} for both sides, or one for each as in k=f16,v=f16",
       in_quotes(whole), meant_name(name, known), cache_type_names());
}

}  // namespace

CacheTypes parse_cache_types(std::string_view text) {
  if (text.find('=') == std::string_view::npos) {
    DType both = cache_type(text, text);
    return {both, both};
  }
  CacheTypes types;
  for (std::string_view rest = text; !rest.empty();) {
    size_t comma = std::min(rest.find(','), rest.size());
    std::string_view part = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    bool keys = part.starts_with("k=");
    if (!keys && !part.starts_with("v=")) cache_type("", text);
    (keys ? types.keys : types.values) = cache_type(part.substr(2), text);
  }
  return types;
}

std::string describe(CacheTypes types) {
  if (types.keys == types.values) return name(types.keys);
  return fmt::format("k={},v={}", name(types.keys), name(types.values));
}

std::string cache_type_names() {
  std::string names;
  for (DType type : cache_dtypes()) names += (names.empty() ? "" : ", ") + lower_name(type);
  return names;
}

int64_t key_copies(const PositionSpec& spec) { return static_cast<int64_t>(rotations(spec).keys.size()); }

int64_t pages_for(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

KvLayout kv_layout(const ModelConfig& c, CacheTypes types, int64_t key_copies) {
  for (DType type : {types.keys, types.values})
    if (c.head_dim % dtype_info(type).block_elements != 0)
      fail(
          "cache type {}: groups of {} elements need a head size that is a multiple of {}, and this model's "
          "is "
          "{}; use f16 or bf16",
          lower_name(type), dtype_info(type).block_elements, dtype_info(type).block_elements, c.head_dim);
  return {c.num_hidden_layers, c.num_key_value_heads, c.head_dim, key_copies, types};
}

int64_t kv_bytes_per_token(const ModelConfig& c, CacheTypes types, int64_t key_copies) {
  return kv_layout(c, types, key_copies).page_bytes() / kPageTokens;
}

int64_t kv_bytes(const ModelConfig& c, CacheTypes types, int64_t tokens, int64_t key_copies) {
  return pages_for(tokens) * kv_layout(c, types, key_copies).page_bytes();
}

// All layers of a page are contiguous: memory is touched in the order in which a text grows, even where the
// system hands it out in huge pages.
KvPool::KvPool(Device& device, const KvLayout& layout, int64_t limit)
    : device_(device),
      layout_(layout),
      limit_(limit),
      arena_(device),
      memory_(static_cast<std::byte*>(arena_.allocate("KV cache", limit * layout.page_bytes()))) {}

int32_t KvPool::take() {
  if (free_.empty() && std::ssize(references_) == limit_)
    fail("the cache of keys and values is full: all {} tokens that it has room for are in use",
         limit_ * kPageTokens);
  int32_t page;
  if (free_.empty()) {
    page = static_cast<int32_t>(references_.size());
    references_.push_back(1);
    filled_.push_back(0);
  } else {
    page = free_.back();
    free_.pop_back();
    references_[static_cast<size_t>(page)] = 1;
    set_filled(page, 0);
  }
  ++taken_;
  return page;
}

void KvPool::share(int32_t page) {
  assert(references(page) > 0);
  ++references_[static_cast<size_t>(page)];
}

void KvPool::release(int32_t page) {
  assert(references(page) > 0);
  if (--references_[static_cast<size_t>(page)] > 0) return;
  free_.push_back(page);
  --taken_;
}

int32_t KvPool::copy_of(int32_t page) {
  int32_t own = take();
  copy(page, own);
  return own;
}

void KvPool::copy(int32_t from, int32_t to) {
  assert(references(from) > 0 && references(to) == 1);
  int64_t bytes = layout_.page_bytes();
  device_.copy(memory_ + to * bytes, memory_ + from * bytes, bytes);
}

void KvPool::download(std::byte* to, int32_t page) const {
  assert(references(page) > 0);
  device_.download(to, memory_ + page * layout_.page_bytes(), layout_.page_bytes());
}

void KvPool::upload(int32_t page, const std::byte* from) {
  assert(references(page) == 1);
  device_.upload(memory_ + page * layout_.page_bytes(), from, layout_.page_bytes());
}

KvPages KvPool::pages(int64_t layer, int64_t offset, DType dtype, Tensor table) const {
  return {.memory = memory_ + layer * layout_.layer_bytes() + offset,
          .stride = layout_.page_bytes(),
          .table = table,
          .dtype = dtype,
          .heads = layout_.heads,
          .head_dim = layout_.head_dim};
}

KvPages KvPool::keys(int64_t layer, int64_t copy, Tensor table) const {
  assert(copy < layout_.key_copies);
  return pages(layer, copy * layout_.key_bytes(), layout_.types.keys, table);
}

KvPages KvPool::values(int64_t layer, Tensor table) const {
  return pages(layer, layout_.key_copies * layout_.key_bytes(), layout_.types.values, table);
}

KvCache::~KvCache() {
  for (int32_t page : pages_) pool_->release(page);
}

KvCache::KvCache(KvCache&& other) noexcept
    : pool_(std::move(other.pool_)),
      pages_(std::exchange(other.pages_, {})),
      length_(std::exchange(other.length_, 0)),
      skipped_(std::exchange(other.skipped_, 0)) {}

KvCache& KvCache::operator=(KvCache&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(pages_, other.pages_);
  std::swap(length_, other.length_);
  std::swap(skipped_, other.skipped_);
  return *this;
}

KvCache KvCache::fork(int64_t tokens) const {
  assert(tokens >= 0 && tokens <= length_);
  KvCache other(pool_);
  other.pages_.assign(pages_.begin(), pages_.begin() + pages_for(tokens));
  other.length_ = tokens;
  other.skipped_ = skipped_;
  for (int32_t page : other.pages_) pool_->share(page);
  return other;
}

namespace {

/// Where a head of a page keeps its tokens: token t at begin + t * bytes.
struct Stretch {
  int64_t begin, bytes;
};

/// Of the head that begins at `head`.
std::vector<Stretch> stretches(DType type, int64_t head_dim, int64_t head) {
  int64_t whole = dtype_bytes(type, head_dim);
  if (dtype_info(type).block_elements == 1) return {{head, whole}};
  int64_t codes = code_bytes(type, head_dim);
  return {{head, codes}, {head + kPageTokens * codes, whole - codes}};
}

/// All heads of all layers: those of keys, of each rotation, and of values.
std::vector<std::vector<Stretch>> stretches(const KvLayout& layout) {
  std::vector<std::vector<Stretch>> all;
  for (int64_t layer = 0; layer < layout.layers; ++layer)
    for (int64_t head = 0; head < layout.heads; ++head) {
      std::vector<Stretch>& own = all.emplace_back();
      auto add = [&](DType type, int64_t begin, int64_t bytes) {
        auto some = stretches(type, layout.head_dim, begin + head * (bytes / layout.heads));
        own.insert(own.end(), some.begin(), some.end());
      };
      int64_t begin = layer * layout.layer_bytes();
      for (int64_t copy = 0; copy < layout.key_copies; ++copy)
        add(layout.types.keys, begin + copy * layout.key_bytes(), layout.key_bytes());
      add(layout.types.values, begin + layout.key_copies * layout.key_bytes(), layout.value_bytes());
    }
  return all;
}

}  // namespace

KvCache KvCache::keeping(const std::vector<std::vector<int32_t>>& rows) const {
  const std::vector<std::vector<Stretch>> of_heads = stretches(pool_->layout());
  assert(rows.size() == of_heads.size());
  int64_t kept = std::ssize(rows[0]), bytes = pool_->layout().page_bytes();
  KvCache other(pool_);
  other.reserve(kept);
  std::vector<std::byte> page(static_cast<size_t>(bytes)),
      gathered(static_cast<size_t>(bytes * std::ssize(other.pages_)));
  std::vector<size_t> next(rows.size());  // of each list
  for (size_t p = 0; p < pages_.size(); ++p) {
    pool_->download(page.data(), pages_[p]);
    int64_t first = static_cast<int64_t>(p) * kPageTokens, end = std::min(length_, first + kPageTokens);
    parallel_for(std::ssize(rows), [&](int64_t h) {
      const std::vector<int32_t>& list = rows[static_cast<size_t>(h)];
      assert(std::ssize(list) == kept);
      for (size_t& i = next[static_cast<size_t>(h)]; i < list.size() && list[i] < end; ++i) {
        auto to = static_cast<int64_t>(i);
        std::byte* into = gathered.data() + to / kPageTokens * bytes;
        for (const Stretch& s : of_heads[static_cast<size_t>(h)])
          std::copy_n(page.data() + s.begin + (list[i] - first) * s.bytes, s.bytes,
                      into + s.begin + to % kPageTokens * s.bytes);
      }
    });
  }
  for (size_t p = 0; p < other.pages_.size(); ++p)
    pool_->upload(other.pages_[p], gathered.data() + static_cast<int64_t>(p) * bytes);
  other.length_ = kept;
  other.skipped_ = skipped_ + length_ - kept;
  return other;
}

void KvCache::share(int32_t page, int64_t tokens) {
  assert(length_ % kPageTokens == 0 && std::ssize(pages_) == length_ / kPageTokens);
  assert(tokens > 0 && tokens <= kPageTokens);
  pool_->share(page);
  pages_.push_back(page);
  length_ += tokens;
}

void KvCache::reserve(int64_t tokens) {
  if (tokens <= length_) return;
  if (int64_t begun = length_ % kPageTokens; begun != 0) {
    int32_t& last = pages_[static_cast<size_t>(length_ / kPageTokens)];
    if (pool_->references(last) > 1 && pool_->filled(last) > begun) {
      int32_t own = pool_->copy_of(last);
      pool_->release(std::exchange(last, own));
    }
  }
  size_t before = pages_.size();
  try {
    while (std::ssize(pages_) < pages_for(tokens)) pages_.push_back(pool_->take());
  } catch (...) {
    for (; pages_.size() > before; pages_.pop_back()) pool_->release(pages_.back());
    throw;
  }
  for (int64_t page = length_ / kPageTokens; page < pages_for(tokens); ++page)
    pool_->set_filled(pages_[static_cast<size_t>(page)], std::min(kPageTokens, tokens - page * kPageTokens));
}

void KvCache::truncate(int64_t tokens) {
  assert(tokens >= 0 && tokens <= length_);
  length_ = tokens;
  for (; std::ssize(pages_) > pages_for(tokens); pages_.pop_back()) pool_->release(pages_.back());
}

}  // namespace longspan
