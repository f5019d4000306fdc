// load_weights and plan_weights: what is copied, what is refused and how the sentence names it.
#include "model/weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "model/golden.h"

namespace longspan {
namespace {

/// A golden checkpoint whose tensor list may be changed: names, shapes, numbers.
struct Changeable {
  Checkpoint checkpoint;
  std::vector<std::vector<std::byte>> memory;

  explicit Changeable(const char* name) : checkpoint(open_checkpoint(golden_dir() / name)) {}
  ModelConfig config() const { return read_config(checkpoint); }
  NamedTensor& at(const std::string& name) { return checkpoint.tensors[checkpoint.index.at(name)]; }

  /// A private, writable copy of a tensor, `shift` bytes off its alignment.
  Tensor own(const std::string& name, size_t shift = 0) {
    Tensor& t = at(name).tensor;
    auto bytes = static_cast<size_t>(t.bytes());
    memory.emplace_back(bytes + shift);
    std::memcpy(memory.back().data() + shift, t.data, bytes);
    t.data = memory.back().data() + shift;
    return t;
  }
  void rename(const std::string& from, const std::string& to) {
    size_t i = checkpoint.index.at(from);
    checkpoint.index.erase(from);
    checkpoint.index[to] = i;
    checkpoint.tensors[i].name = to;
  }
  std::string refusal() const {
    try {
      load_weights(checkpoint, config());
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  }
};

testing::AssertionResult mentions(const std::string& text, const std::string& part) {
  if (text.find(part) != text.npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << text << " does not mention " << part;
}

TEST(Weights, MissingAndUnknownTensorsAreNamed) {
  for (const char* name :
       {"model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight", "model.norm.weight",
        "lm_head.weight", "model.layers.0.post_attention_layernorm.weight"}) {
    Changeable c("gqa");
    c.rename(name, "elsewhere");
    EXPECT_TRUE(mentions(c.refusal(), name));
    EXPECT_TRUE(mentions(c.refusal(), "gqa"));
  }
  Changeable extra("gqa");
  extra.checkpoint.metadata["num_hidden_layers"] = 1;
  EXPECT_TRUE(mentions(extra.refusal(), "model.layers.1."));
  Changeable undeclared("qwen2");
  undeclared.checkpoint.metadata["model_type"] = "llama";
  EXPECT_TRUE(mentions(undeclared.refusal(), "q_proj.bias exists"));
  Changeable biases("gqa");
  biases.checkpoint.metadata["attention_bias"] = true;
  EXPECT_TRUE(mentions(biases.refusal(), "q_proj.bias"));
}

TEST(Weights, WrongShapesAreNamed) {
  Changeable c("gqa");
  c.checkpoint.metadata["intermediate_size"] = 63;
  EXPECT_TRUE(mentions(c.refusal(), "gate_proj.weight is 64 x 32; the config asks for 63 x 32"));
  Changeable d("gqa");
  d.at("model.norm.weight").tensor = host_matrix(d.at("model.norm.weight").tensor.data, DType::F32, 1, 32);
  EXPECT_TRUE(mentions(d.refusal(), "model.norm.weight is 1 x 32; the config asks for 32"));
}

TEST(Weights, NotANumberIsNamed) {
  for (const char* name : {"model.norm.weight", "model.layers.1.mlp.down_proj.weight"})
    for (float bad : {NAN, INFINITY}) {
      Changeable c("gqa");
      Tensor t = c.own(name);
      t.row(t.rows() - 1)[t.cols() - 1] = bad;
      EXPECT_TRUE(mentions(c.refusal(), name));
    }
}

TEST(Weights, PlanCountsWhatLoadingCopies) {
  struct Row {
    const char* name;
    int64_t copied;
  };
  // The twins copy q (32 x 32) and k (16 x 32) of two layers, at 4 bytes an element or 34 a block; bf16 three
  // norms; index its head, internlm2 its fused q, k and v with their biases, gemma3 all norms.
  for (const Row& row :
       {Row{"gqa", 0}, Row{"gqa-f32.gguf", 2 * 48 * 32 * 4}, Row{"gqa-q8_0.gguf", 2 * 48 * 34},
        Row{"bf16", 3 * 32 * 4}, Row{"index", 64 * 32 * 4}, Row{"internlm2", 64 * (32 + 1) * 4},
        Row{"gemma3", (3 * (4 * 32 + 2 * 16) + 32) * 4}, Row{"gemma3.gguf", 0}}) {
    Changeable c(row.name);
    Weights weights = load_weights(c.checkpoint, c.config());
    WeightsPlan plan =
        plan_weights(c.checkpoint, c.config(), *all_kernels()[0], Compute::F32, WeightReading::Packed);
    EXPECT_EQ(plan.copied, row.copied) << row.name;
    EXPECT_EQ(weights.copies.bytes(), row.copied) << row.name;
    EXPECT_EQ(plan.mapped, c.checkpoint.tensor_bytes());
    EXPECT_EQ(plan.packed, 0);
  }
}

TEST(Weights, UnalignedTensorsAreMoved) {
  Changeable plain("gqa"), shifted("gqa");
  shifted.own("model.norm.weight", 1);
  shifted.own("model.layers.0.mlp.up_proj.weight", 2);
  Weights a = load_weights(plain.checkpoint, plain.config()),
          b = load_weights(shifted.checkpoint, shifted.config());
  for (int64_t i = 0; i < 32; ++i) EXPECT_EQ(a.final_norm.row(0)[i], b.final_norm.row(0)[i]);
  const Tensor &x = a.layers[0].up.weight, &y = b.layers[0].up.weight;
  EXPECT_EQ(reinterpret_cast<uintptr_t>(y.data) % 4, 0u);
  EXPECT_EQ(std::memcmp(x.data, y.data, static_cast<size_t>(x.bytes())), 0);
  EXPECT_EQ(b.copies.bytes(), (32 + 64 * 32) * 4);
}

TEST(Weights, TiedHeadSharesTheEmbedding) {
  Changeable c("tied");
  Weights w = load_weights(c.checkpoint, c.config());
  EXPECT_EQ(w.head.weight.data, w.embedding.data);
}

TEST(Weights, RowsOfANormHeadHaveLengthOne) {
  Changeable c("index");
  Weights once = load_weights(c.checkpoint, c.config());
  const Tensor& head = once.head.weight;
  for (int64_t r = 0; r < head.rows(); ++r) {
    double squares = 0;
    for (int64_t i = 0; i < head.cols(); ++i) squares += static_cast<double>(head.row(r)[i]) * head.row(r)[i];
    EXPECT_NEAR(squares, 1, 1e-6);
  }
  // A file that already holds such rows, as an export does, is not changed by a second time.
  c.at("lm_head.weight").tensor = head;
  Weights twice = load_weights(c.checkpoint, c.config());
  for (int64_t i = 0; i < head.rows() * head.cols(); ++i)
    EXPECT_NEAR(twice.head.weight.row(0)[i], head.row(0)[i], 1e-7);
  c.checkpoint.metadata["norm_head"] = 0;
  EXPECT_EQ(load_weights(c.checkpoint, c.config()).head.weight.data, head.data);
}

TEST(Weights, FusedQueriesKeysAndValuesAreTakenApartByGroups) {
  Changeable c("internlm2");
  // 4 query heads, 2 key/value heads of 8: 8 heads of rows, in the order q0 q1 k0 v0 q2 q3 k1 v1.
  Tensor fused = c.own("model.layers.0.attention.wqkv.weight");
  ASSERT_EQ(fused.rows(), 64);
  for (int64_t r = 0; r < 64; ++r) fused.row(r)[0] = static_cast<float>(r / 8);
  Weights w = load_weights(c.checkpoint, c.config());
  auto heads = [](const Linear& l) {
    std::vector<int> out;
    for (int64_t r = 0; r < l.weight.rows(); r += 8) out.push_back(static_cast<int>(l.weight.row(r)[0]));
    return out;
  };
  EXPECT_EQ(heads(w.layers[0].q), (std::vector<int>{0, 1, 4, 5}));
  EXPECT_EQ(heads(w.layers[0].k), (std::vector<int>{2, 6}));
  EXPECT_EQ(heads(w.layers[0].v), (std::vector<int>{3, 7}));
  EXPECT_TRUE(w.layers[0].q.bias && w.layers[0].k.bias && w.layers[0].v.bias && w.layers[0].o.bias);
  c.checkpoint.metadata["num_key_value_heads"] = 1;
  EXPECT_TRUE(mentions(c.refusal(), "wqkv.weight is 64 x 32; the config asks for 48 x 32"));
}

TEST(Weights, MissingNormsOfTheFamiliesAreNamed) {
  for (auto [model, name] : {std::pair{"qwen3", "model.layers.0.self_attn.q_norm.weight"},
                             {"gemma3", "model.layers.1.pre_feedforward_layernorm.weight"},
                             {"gemma3.gguf", "blk.2.post_ffw_norm.weight"}}) {
    Changeable c(model);
    c.rename(name, "elsewhere");
    EXPECT_TRUE(mentions(c.refusal(), name));
  }
  Changeable gemma("gemma3"), twin("gemma3.gguf");
  Weights a = load_weights(gemma.checkpoint, gemma.config()),
          b = load_weights(twin.checkpoint, twin.config());
  for (int64_t i = 0; i < 32; ++i) EXPECT_EQ(a.final_norm.row(0)[i], b.final_norm.row(0)[i]);  // 1 was added
}

TEST(Weights, QAndKOfGgufAreInRotaryOrder) {
  Changeable hf("gqa"), gguf("gqa-f32.gguf");
  Weights a = load_weights(hf.checkpoint, hf.config()), b = load_weights(gguf.checkpoint, gguf.config());
  for (size_t l = 0; l < 2; ++l)
    for (auto member : {&LayerWeights::q, &LayerWeights::k, &LayerWeights::v}) {
      const Tensor &x = (a.layers[l].*member).weight, &y = (b.layers[l].*member).weight;
      EXPECT_EQ(std::memcmp(x.data, y.data, static_cast<size_t>(x.bytes())), 0);
    }
  const Tensor& stored = gguf.at("blk.0.attn_q.weight").tensor;
  EXPECT_NE(std::memcmp(stored.data, a.layers[0].q.weight.data, static_cast<size_t>(stored.bytes())), 0);
}

}  // namespace
}  // namespace longspan
