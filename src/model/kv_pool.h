// KvPool: the memory for keys and values of many sequences, in pages of kPageTokens tokens with reference
// counts (Kwon 2023, arXiv 2309.06180). KvCache: the pages of one sequence and its length. Keys are kept
// rotated, once for each rotation that the zones of the position method ask for. Sequences with a common
// prefix can share pages. A shared page is copied before it is written, unless the tokens to be written are
// beyond all that any of them has: whoever goes on first stays in it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "model/config.h"
#include "tensor/arena.h"

namespace longspan {

/// The element types of keys and values.
struct CacheTypes {
  DType keys = DType::F16, values = DType::F16;
  bool operator==(const CacheTypes&) const = default;
};

/// Reads --cache-type: "f16" for both, or "k=f16,v=bf16" (a side that is not named keeps F16). Error lists
/// the types.
CacheTypes parse_cache_types(std::string_view text);
/// Text that parse_cache_types reads back: "F16", "k=F16,v=BF16".
std::string describe(CacheTypes types);
/// "f32, f16, bf16".
std::string cache_type_names();

/// Sets of keys that a position spec keeps: one for each rotation of keys.
int64_t key_copies(const PositionSpec& spec);

/// Pages that hold `tokens` tokens.
int64_t pages_for(int64_t tokens);

/// Contents and size of a page: for kPageTokens tokens, it holds the keys (each copy) and the values of all
/// layers.
struct KvLayout {
  int64_t layers = 0, heads = 0, head_dim = 0, key_copies = 1;
  CacheTypes types;

  /// Bytes of one layer's keys (one copy) or values in a page.
  int64_t key_bytes() const { return dtype_bytes(types.keys, heads * kPageTokens * head_dim); }
  int64_t value_bytes() const { return dtype_bytes(types.values, heads * kPageTokens * head_dim); }
  int64_t layer_bytes() const { return key_copies * key_bytes() + value_bytes(); }
  int64_t page_bytes() const { return layers * layer_bytes(); }
};
KvLayout kv_layout(const ModelConfig& config, CacheTypes types, int64_t key_copies = 1);

/// Bytes that a token costs, and those of a whole cache of `tokens` (whole pages).
int64_t kv_bytes_per_token(const ModelConfig& config, CacheTypes types, int64_t key_copies = 1);
int64_t kv_bytes(const ModelConfig& config, CacheTypes types, int64_t tokens, int64_t key_copies = 1);

class KvPool {
 public:
  /// Memory for at most `limit` pages; on the host it is touched only as pages are written. The device must
  /// outlive the pool.
  KvPool(Device& device, const KvLayout& layout, int64_t limit);

  /// A page with one reference. Error when all pages are taken.
  int32_t take();
  void share(int32_t page);
  /// Gives a reference back; a page without references is free.
  void release(int32_t page);
  /// A page with one reference and the contents of `page`.
  int32_t copy_of(int32_t page);
  /// The contents of one page into another, which has one reference.
  void copy(int32_t from, int32_t to);

  /// The page_bytes() of a page, between the host and the device: for files.
  void download(std::byte* to, int32_t page) const;
  void upload(int32_t page, const std::byte* from);

  int64_t limit() const { return limit_; }
  int64_t taken() const { return taken_; }
  int64_t free_pages() const { return limit_ - taken_; }
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }
  /// Tokens of a page that may have been written since it was taken or copied.
  int64_t filled(int32_t page) const { return filled_[static_cast<size_t>(page)]; }
  void set_filled(int32_t page, int64_t tokens) { filled_[static_cast<size_t>(page)] = tokens; }
  const KvLayout& layout() const { return layout_; }

  /// A layer's keys or values; `table` [S, P] I32 lists the pages of each sequence.
  KvPages keys(int64_t layer, int64_t copy, Tensor table) const;
  KvPages values(int64_t layer, Tensor table) const;

 private:
  KvPages pages(int64_t layer, int64_t offset, DType dtype, Tensor table) const;

  Device& device_;
  KvLayout layout_;
  int64_t limit_, taken_ = 0;
  std::vector<int32_t> references_;  // of the pages ever taken
  std::vector<int64_t> filled_;      // of the same
  std::vector<int32_t> free_;
  Arena arena_;
  std::byte* memory_;
};

class KvCache {
 public:
  explicit KvCache(std::shared_ptr<KvPool> pool) : pool_(std::move(pool)) {}
  ~KvCache();
  KvCache(KvCache&& other) noexcept;
  KvCache& operator=(KvCache&& other) noexcept;

  /// Another sequence that begins with the first `tokens` tokens of this one (tokens <= length()) and shares
  /// their pages.
  KvCache fork(int64_t tokens) const;

  /// A cache of the same pool that goes on where this one does, but holds only some of its tokens. rows[layer
  /// * heads
  /// + head] lists, rising, those of each head of each layer; all lists are equally long. Error when the pool
  /// is full.
  KvCache keeping(const std::vector<std::vector<int32_t>>& rows) const;

  /// Goes on with the first `tokens` tokens of a page that others hold, too. The length is a multiple of
  /// kPageTokens.
  void share(int32_t page, int64_t tokens);

  /// Makes room to write up to `tokens` tokens in all. Error when the pool is full; the cache is then as
  /// before.
  void reserve(int64_t tokens);
  /// Forgets everything past the first `tokens` tokens (tokens <= length()) and gives their pages back.
  void truncate(int64_t tokens);
  void set_length(int64_t tokens) { length_ = tokens; }

  int64_t length() const { return length_; }
  /// Tokens of the text so far whose keys and values the cache does not hold: the next token's position is
  /// length() + skipped().
  int64_t skipped() const { return skipped_; }
  std::span<const int32_t> pages() const { return pages_; }
  const std::shared_ptr<KvPool>& pool() const { return pool_; }

 private:
  std::shared_ptr<KvPool> pool_;
  std::vector<int32_t> pages_;
  int64_t length_ = 0, skipped_ = 0;
};

}  // namespace longspan
