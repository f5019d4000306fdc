// Several sequences in one batch: each sees its own pages alone, and its numbers are those it has on its own,
// bit for bit.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "kernels/cache.h"

namespace longspan {
namespace {

constexpr int64_t kHeads = 6, kKvHeads = 2, kHeadDim = 32;

struct Some {
  int32_t tokens, past;
};

/// A pool that all sequences share, page tables of one length, and rows of q, keys and values.
struct Batch {
  OwnedSequences sequences;
  OwnedTensor pool, table, q, keys, values, key_rows, value_rows;
  int64_t stride, kept;  // bytes of a page; pages of keys

  Batch(const std::vector<Some>& of, DType dtype, Random& random)
      : sequences(tokens_of(of), past_of(of)), stride(dtype_bytes(dtype, kKvHeads * kPageTokens * kHeadDim)) {
    int64_t rows = sequences.rows.row<int32_t>(0)[of.size()];
    int64_t most = (sequences.most_keys + kPageTokens - 1) / kPageTokens;
    // Pages in a random order, those of other sequences between one's own. Entries beyond a sequence's last
    // page lead to memory that is not there.
    std::vector<int32_t> free;
    table = make_matrix(DType::I32, std::ssize(of), most, 8);
    for (const Some& s : of)
      for (int64_t p = 0; p * kPageTokens < s.past + s.tokens; ++p)
        free.push_back(static_cast<int32_t>(free.size()));
    kept = std::ssize(free);
    for (size_t i = free.size(); i-- > 1;) std::swap(free[i], free[random.below(i + 1)]);
    for (size_t s = 0; s < of.size(); ++s)
      for (int64_t p = 0; p < most; ++p) {
        bool held = p * kPageTokens < of[s].past + of[s].tokens;
        table.row<int32_t>(static_cast<int64_t>(s))[p] = held ? free.back() : 1'000'000'000;
        if (held) free.pop_back();
      }
    pool = make_matrix(dtype, 2 * kept * kKvHeads * kPageTokens, kHeadDim);
    std::fill(pool.memory->begin(), pool.memory->end(), std::byte{0xff});
    q = normal_matrix(random, DType::F32, rows, kHeads * kHeadDim, 8);
    keys = normal_matrix(random, DType::F32, rows, kKvHeads * kHeadDim, 4);
    values = normal_matrix(random, DType::F32, rows, kKvHeads * kHeadDim);
    // What is already in the cache: the same for the whole batch and each alone, written one by one.
    for (size_t s = 0; s < of.size(); ++s) {
      OwnedSequences before({of[s].past}, {0});
      for (bool is_value : {false, true})
        reference().store_kv(pages(is_value, table.slice(static_cast<int64_t>(s), 1)),
                             normal_matrix(random, DType::F32, of[s].past, kKvHeads * kHeadDim), before);
    }
  }

  static std::vector<int32_t> tokens_of(const std::vector<Some>& of) {
    std::vector<int32_t> tokens;
    for (const Some& s : of) tokens.push_back(s.tokens);
    return tokens;
  }
  static std::vector<int32_t> past_of(const std::vector<Some>& of) {
    std::vector<int32_t> past;
    for (const Some& s : of) past.push_back(s.past);
    return past;
  }

  KvPages pages(bool is_value, const Tensor& of) const {
    auto* memory = reinterpret_cast<std::byte*>(pool.data) + (is_value ? kept * stride : 0);
    return {memory, stride, of, pool.dtype, kKvHeads, kHeadDim};
  }
};

/// The output of rows first .. of `sequences`, whose page tables are `table`.
OwnedTensor attend(const Kernels& k, const Batch& b, const Sequences& sequences, const Tensor& table,
                   int64_t first, DType dtype) {
  int64_t rows = sequences.rows.row<int32_t>(0)[sequences.count];
  OwnedTensor out = make_matrix(dtype, rows, kHeads * kHeadDim, 12);
  KvPages keys = b.pages(false, table), values = b.pages(true, table);
  k.store_kv(keys, b.keys.slice(first, rows), sequences);
  k.store_kv(values, b.values.slice(first, rows), sequences);
  std::vector<AttentionZone> zones{{0, b.q.slice(first, rows), keys}, {40, b.q.slice(first, rows), keys}};
  AttentionShape shape{.heads = kHeads,
                       .kv_heads = kKvHeads,
                       .head_dim = kHeadDim,
                       .sequences = sequences,
                       .scale = 0.2f,
                       .window = 500};
  k.attention(out, {}, zones, values, shape);
  return out;
}

TEST(Sequences, HaveTheBitsThatTheyHaveAlone) {
  Random random(1);
  const std::vector<std::vector<Some>> batches = {
      {{1, 0}, {1, 700}, {1, 255}, {1, 256}},            // single tokens
      {{1, 600}, {70, 0}, {1, 3}, {200, 190}, {2, 40}},  // prompts among them
      {{5, 10}},
      {{0, 20}, {3, 300}, {0, 0}},  // sequences that have nothing to say
  };
  for (const std::vector<Some>& of : batches)
    for (DType cache : {DType::F32, DType::F16, DType::BF16})
      for (DType dtype : {DType::F32, DType::BF16})
        for_every_implementation([&](const Kernels& k) {
          Batch b(of, cache, random);
          OwnedTensor whole = attend(k, b, b.sequences, b.table, 0, dtype);
          std::vector<std::byte> pool = *b.pool.memory;
          expect_gaps_untouched(whole);
          for (size_t s = 0; s < of.size(); ++s) {
            int64_t first = b.sequences.rows.row<int32_t>(0)[s];
            OwnedSequences one({of[s].tokens}, {of[s].past});
            OwnedTensor alone = attend(k, b, one, b.table.slice(static_cast<int64_t>(s), 1), first, dtype);
            for (int64_t t = 0; t < of[s].tokens; ++t)
              for (int64_t i = 0; i < kHeads * kHeadDim; ++i)
                ASSERT_EQ(get(whole, first + t, i), get(alone, t, i)) << "sequence " << s << ", row " << t;
          }
          EXPECT_TRUE(*b.pool.memory == pool);  // stored once more, to the same places
        });
}

/// Gradients of the rows of a batch, one sequence after the other: q of two zones, their keys, and values.
std::vector<OwnedTensor> gradients(const Kernels& k, const Batch& b, DType dtype) {
  int64_t rows = b.q.rows(), width = kHeads * kHeadDim, kv_width = kKvHeads * kHeadDim;
  KvPages keys = b.pages(false, b.table), values = b.pages(true, b.table);
  Random random(9);
  OwnedTensor out = make_matrix(dtype, rows, width), log_sum = make_matrix(DType::F32, rows, kHeads),
              dout = normal_matrix(random, DType::F32, rows, width);
  k.store_kv(keys, b.keys, b.sequences);
  k.store_kv(values, b.values, b.sequences);
  std::vector<AttentionZone> zones{{0, b.q, keys}, {40, b.q, keys}};
  AttentionShape shape{
      .heads = kHeads, .kv_heads = kKvHeads, .head_dim = kHeadDim, .sequences = b.sequences, .scale = 0.2f};
  k.attention(out, log_sum, zones, values, shape);
  std::vector<OwnedTensor> all;
  for (int64_t columns : {width, width, kv_width, kv_width, kv_width})
    all.push_back(make_matrix(DType::F32, rows, columns, 4));
  k.attention_backward({.q = {all[0], all[1]}, .keys = {all[2], all[3]}, .values = all[4]}, dout, out,
                       log_sum, zones, values, shape);
  return all;
}

/// F32: other orders of sums. BF16 rounds q, dout, p and ds, and delta takes up the rounding of out.
TEST(Sequences, GradientsAgreeWithTheReference) {
  const std::vector<std::vector<Some>> batches = {
      {{30, 300}, {1, 255}, {17, 256}, {63, 0}, {2, 511}},  // rows behind a context of their own
      {{200, 190}, {0, 20}, {70, 0}},
      {{5, 10}},
  };
  for (const std::vector<Some>& of : batches)
    for (DType dtype : {DType::F32, DType::BF16})
      for_every_implementation([&](const Kernels& k) {
        Random random(2);
        Batch b(of, dtype, random);
        std::vector<OwnedTensor> want = gradients(reference(), b, dtype), got = gradients(k, b, dtype);
        for (size_t i = 0; i < want.size(); ++i) {
          double most = 0, worst = 0;
          for (int64_t t = 0; t < want[i].rows(); ++t)
            for (int64_t n = 0; n < want[i].cols(); ++n) {
              double x = want[i].row(t)[n], difference = std::abs(got[i].row(t)[n] - x);
              most = std::max(most, std::abs(x));
              worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
            }
          EXPECT_LE(worst, (dtype == DType::F32 ? 1e-5 : 0.03) * most) << k.name << ", tensor " << i;
          expect_gaps_untouched(got[i]);
        }
      });
}

}  // namespace
}  // namespace longspan
