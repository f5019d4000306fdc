// The whole way of a stretch on a tiny model of bytes: conversations from a text, training at one length and
// behind frozen contexts, the adapter, and needles asked with it. The recipe has the form of
// recipes/stretch-*.
#include <cmath>
#include <sstream>

#include "cli/program.h"
#include "data/tokenizers.h"

namespace longspan {

namespace {

class Stretch : public ProgramTest {
 protected:
  /// A random model with a token for each byte and a window of 256.
  std::string byte_model() {
    fs::path model = dir_ / "bytes";
    fs::create_directories(model);
    write_file_atomic(model / "tokenizer.json",
                      dump_json(byte_tokenizer_file({"<|im_start|>", "<|im_end|>"})));
    write_file_atomic(
        model / "tokenizer_config.json",
        dump_json({{"eos_token", "<|im_end|>"},
                   {"chat_template",
                    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
                    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"}}));
    Json config = parse_json_file(fs::path(LONGSPAN_GOLDEN) / "model" / "gqa" / "config.json");
    config["max_position_embeddings"] = 256, config["vocab_size"] = kVocabulary, config["eos_token_id"] = 257;
    config["tie_word_embeddings"] = true;
    write_file_atomic(model / "config.json", dump_json(config));
    write_weights(model / "model.safetensors");
    return model.string();
  }

  static constexpr int kVocabulary = 258;

  static void write_weights(const fs::path& path) {
    std::vector<std::pair<std::string, std::vector<int>>> shapes = {
        {"model.embed_tokens.weight", {kVocabulary, 32}}, {"model.norm.weight", {32}}};
    for (int l = 0; l < 2; ++l)
      for (auto [name, rows, cols] : {std::tuple{"self_attn.q_proj", 32, 32},
                                      {"self_attn.k_proj", 16, 32},
                                      {"self_attn.v_proj", 16, 32},
                                      {"self_attn.o_proj", 32, 32},
                                      {"mlp.gate_proj", 64, 32},
                                      {"mlp.up_proj", 64, 32},
                                      {"mlp.down_proj", 32, 64},
                                      {"input_layernorm", 32, 0},
                                      {"post_attention_layernorm", 32, 0}})
        shapes.emplace_back("model.layers." + std::to_string(l) + "." + name + ".weight",
                            cols > 0 ? std::vector<int>{rows, cols} : std::vector<int>{rows});
    Json header = Json::object();
    std::string data;
    Random random(5);
    for (const auto& [name, shape] : shapes) {
      int64_t n = 1;
      for (int size : shape) n *= size;
      header[name] = {
          {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + 4 * n}}};
      for (int64_t i = 0; i < n; ++i) {
        float x = shape.size() == 1 ? 1.0f : 0.15f * static_cast<float>(random.normal());
        data.append(reinterpret_cast<const char*>(&x), sizeof x);
      }
    }
    std::string text = dump_json(header);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    uint64_t size = text.size();
    std::ofstream(path, std::ios::binary)
        << std::string(reinterpret_cast<const char*>(&size), sizeof size) << text << data;
  }

  std::string documents() {
    std::string text;
    for (int i = 0; i < 900; ++i)
      text += "Field number " + std::to_string(i * 7919) + " was ploughed by the farmer and his mule.\n\n";
    return write("fields.txt", text);
  }

  std::string synth(const std::string& model, const std::string& name, int records) {
    std::string out = (dir_ / name).string();
    Outcome r = run({"corpus",
                     "synth",
                     "--model",
                     model,
                     "--documents",
                     documents(),
                     "--tokens",
                     "2400",
                     "--records",
                     std::to_string(records),
                     "--mix",
                     "facts=1",
                     "--turns",
                     "3",
                     "--most-turns",
                     "6",
                     "--front-share",
                     "0.35",
                     "--sister-share",
                     "0.25",
                     "--language",
                     "en",
                     "-o",
                     out});
    EXPECT_EQ(r.status, 0) << r.err;
    return out;
  }
};

TEST_F(Stretch, FromATextToNeedles) {
  std::string model = byte_model();
  synth(model, "long.jsonl.zst", 12);
  std::string recipe = write("stretch.toml", "model = \"" + model + R"("
output = "run"
compute = "f32"
[trained]
lora_rank = 4
lora_alpha = 8
norms = true
norm_lr = 0.2
lora_start = 1.732
[optimizer]
weight_decay = 0.0
clip = 0.67
[snapshots]
steps = 4
[[stage]]
name = "one length"
position = "rerope:window=96,log_n=1"
length = 2600
steps = 6
lr = 1e-2
warmup = 2
[[stage.chat]]
files = ["long.jsonl.zst"]
weight = 0.9
text_share = 0.333
[[stage.text]]
files = ["fields.txt"]
weight = 0.1
[stage.short]
rows = 2
tokens = 96
divergence = 0.67
[[stage.short.text]]
files = ["fields.txt"]
[[stage]]
name = "frozen contexts"
position = "rerope:window=96,log_n=1"
length = 2600
batch_tokens = 64
steps = 5
lr = 5e-3
fresh_optimizer = true
[[stage.chat]]
files = ["long.jsonl.zst"]
frozen = true
[[stage.text]]
files = ["fields.txt"]
length = 64
weight = 0.2
)");
  Outcome check = run({"train", recipe, "--check"});
  ASSERT_EQ(check.status, 0) << check.err;
  EXPECT_NE((check.out + check.err).find("frozen contexts"), std::string::npos) << check.out << check.err;
  Outcome first = run({"train", recipe, "--json", "--set", "stage.1.steps=5"});
  ASSERT_EQ(first.status, 0) << first.err;
  std::istringstream lines(first.out);
  std::vector<double> losses;
  for (std::string line; std::getline(lines, line);) losses.push_back(parse_json(line, "stdout")["loss"]);
  ASSERT_EQ(losses.size(), 11u);
  for (double loss : losses) EXPECT_TRUE(std::isfinite(loss));
  EXPECT_LT((losses[4] + losses[5]) / 2, losses[0] - 0.2);
  fs::path adapter = dir_ / "run" / "adapter";
  EXPECT_TRUE(fs::exists(adapter / "adapter_model.safetensors"));
  Outcome needles =
      run({"eval", "needle", model, "--adapter", adapter.string(), "--haystack", documents(), "--lengths",
           "1000,2000", "--depths", "2", "-o", (dir_ / "needles").string(), "--json"});
  ASSERT_EQ(needles.status, 0) << needles.err;
  EXPECT_TRUE(fs::exists(dir_ / "needles" / "summary.json"));
  std::string results = read_file(dir_ / "needles" / "results.jsonl");
  EXPECT_EQ(std::count(results.begin(), results.end(), '\n'), 4 * 2 * 2);
}

}  // namespace
}  // namespace longspan
