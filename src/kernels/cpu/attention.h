// CPU attention: online softmax over tiles of keys (Milakov 2018, arXiv 1805.02867; Dao 2023, arXiv
// 2307.08691). All query heads of one KV head are rows of the same tile, so that one read of K and V serves
// the group. Distance zones are ranges of keys for a row (attention_keys.h): a tile within one zone costs one
// product, and tiles that no row sees are skipped. Same contract as Kernels::attention. F32 throughout,
// except that avx512_bf16 and amx round q, K, P and V to BF16 (sums in F32) for many queries when `out` is
// BF16. Results do not depend on the number of threads.
#pragma once

#include "kernels/kernels.h"

namespace longspan {

void attention_avx2(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                    const AttentionShape& shape);
void attention_avx512(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                      const AttentionShape& shape);
void attention_avx512_bf16(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones,
                           const KvPages& values, const AttentionShape& shape);
void attention_amx(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                   const AttentionShape& shape);

}  // namespace longspan
