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
  d.at("model.norm.weight").tensor = matrix_view(d.at("model.norm.weight").tensor.data, DType::F32, 1, 32);
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
  // norms.
  for (const Row& row : {Row{"gqa", 0}, Row{"gqa-f32.gguf", 2 * 48 * 32 * 4},
                         Row{"gqa-q8_0.gguf", 2 * 48 * 34}, Row{"bf16", 3 * 32 * 4}}) {
    Changeable c(row.name);
    Weights weights = load_weights(c.checkpoint, c.config());
    WeightsPlan plan = plan_weights(c.checkpoint, c.config(), *all_kernels()[0], Compute::F32);
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
