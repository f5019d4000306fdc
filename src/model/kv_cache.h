// KvCache: keys and values of one sequence, in pages of kPageTokens tokens taken from the arena as the text
// grows. Keys are kept rotated, once for each rotation that the zones of the position method ask for.
#pragma once

#include <vector>

#include "kernels/kernels.h"
#include "model/config.h"
#include "tensor/arena.h"

namespace longspan {

/// Pages that hold `tokens` tokens, and the bytes of one layer's page of keys or of values.
int64_t pages_for(int64_t tokens);
int64_t page_bytes(const ModelConfig& config, DType dtype);

class KvCache {
 public:
  /// Nothing is allocated yet. dtype: F32, F16 or BF16.
  /// key_copies: rotations(spec).keys.size().
  KvCache(const ModelConfig& config, DType dtype, int64_t key_copies = 1);

  /// Makes room for `tokens` tokens in all. Error when memory is refused.
  void reserve(int64_t tokens);
  /// Forgets everything past the first `tokens` tokens (tokens <= length()).
  void truncate(int64_t tokens);
  void set_length(int64_t tokens) { length_ = tokens; }

  int64_t length() const { return length_; }
  KvPages keys(int64_t layer, int64_t copy = 0) const;
  KvPages values(int64_t layer) const;
  DType dtype() const { return dtype_; }

  /// Bytes a token costs over all layers, and of a whole cache of `tokens` (whole pages).
  static int64_t bytes_per_token(const ModelConfig& config, DType dtype, int64_t key_copies = 1);
  static int64_t bytes(const ModelConfig& config, DType dtype, int64_t tokens, int64_t key_copies = 1);

 private:
  DType dtype_;
  int64_t layers_, heads_, head_dim_, copies_;
  int64_t length_ = 0;
  std::vector<std::vector<void*>>
      pages_;  // [(copies + 1) * layers]: a layer's copies of its keys, then its values
  Arena arena_;
};

}  // namespace longspan
