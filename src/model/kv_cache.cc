#include "model/kv_cache.h"

#include <cassert>

namespace longspan {

int64_t pages_for(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

int64_t page_bytes(const ModelConfig& config, DType dtype) {
  return dtype_bytes(dtype, config.num_key_value_heads * kPageTokens * config.head_dim);
}

KvCache::KvCache(const ModelConfig& config, DType dtype, int64_t key_copies)
    : dtype_(dtype),
      layers_(config.num_hidden_layers),
      heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      copies_(key_copies),
      pages_(static_cast<size_t>((key_copies + 1) * config.num_hidden_layers)) {
  assert(dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16);
}

void KvCache::reserve(int64_t tokens) {
  int64_t more = pages_for(tokens) - static_cast<int64_t>(pages_[0].size());
  if (more <= 0) return;
  int64_t bytes = dtype_bytes(dtype_, heads_ * kPageTokens * head_dim_);
  auto* block = static_cast<std::byte*>(
      arena_.allocate("KV cache", more * static_cast<int64_t>(pages_.size()) * bytes));
  // All layers' pages of the same tokens lie together: memory is touched in the order in which the text
  // grows, also where the system hands it out in huge pages.
  for (int64_t page = 0; page < more; ++page)
    for (std::vector<void*>& list : pages_) {
      list.push_back(block);
      block += bytes;
    }
}

void KvCache::truncate(int64_t tokens) {
  assert(tokens >= 0 && tokens <= length_);
  length_ = tokens;
}

KvPages KvCache::keys(int64_t layer, int64_t copy) const {
  return {pages_[static_cast<size_t>((copies_ + 1) * layer + copy)], dtype_, heads_, head_dim_};
}

KvPages KvCache::values(int64_t layer) const {
  return {pages_[static_cast<size_t>((copies_ + 1) * layer + copies_)], dtype_, heads_, head_dim_};
}

int64_t KvCache::bytes_per_token(const ModelConfig& config, DType dtype, int64_t key_copies) {
  return (key_copies + 1) * config.num_hidden_layers *
         dtype_bytes(dtype, config.num_key_value_heads * config.head_dim);
}

int64_t KvCache::bytes(const ModelConfig& config, DType dtype, int64_t tokens, int64_t key_copies) {
  return pages_for(tokens) * kPageTokens * bytes_per_token(config, dtype, key_copies);
}

}  // namespace longspan
