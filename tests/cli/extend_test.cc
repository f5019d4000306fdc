// extend and convert: the directory that is written gives what its source gave, and nothing is ever
// overwritten.
#include <cmath>

#include "checkpoint/build_files.h"
#include "checkpoint/checkpoint.h"
#include "cli/program.h"

namespace longspan {

namespace {

class Extend : public ProgramTest {
 protected:
  std::string out(const char* name) { return (dir_ / name).string(); }
  std::string text() { return write("text", "the quick brown fox jumps over the lazy dog. 12, 34. fox?"); }

  std::vector<double> logprobs(const std::string& model, const std::string& position = "") {
    std::vector<std::string> arguments = {"score", model,          "--file", text(),  "--compute",
                                          "f32",   "--cache-type", "f32",    "--json"};
    if (!position.empty()) arguments.insert(arguments.end(), {"--position", position});
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.json()["logprobs"];
  }

  void expect_same(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << i;
  }

  std::string tiny_gguf();
};

/// tests/golden/model/gqa-f32.gguf with the vocabulary and chat template of tiny_model.
std::string Extend::tiny_gguf() {
  MappedFile file(fs::path(LONGSPAN_GOLDEN) / "model" / "gqa-f32.gguf");
  ParsedTensors golden = parse_gguf(file.bytes(), "gqa-f32.gguf");
  GgufBuilder gguf;
  for (const auto& [key, value] : golden.metadata.items()) {
    if (key.starts_with("tokenizer.") || value.is_array()) continue;
    if (value.is_string()) gguf.value(key, value.get<std::string>());
    if (value.is_number_integer()) gguf.value(key, value.get<uint32_t>());
    if (value.is_number_float()) gguf.value(key, value.get<float>());
  }
  Json vocab = parse_json_file(fs::path(tiny_model(64)) / "tokenizer.json")["model"]["vocab"];
  std::vector<std::string> tokens(vocab.size());
  std::vector<int32_t> types(vocab.size(), 1);
  for (const auto& [text, id] : vocab.items()) tokens[id.get<size_t>()] = text;
  for (size_t id : {0, 1, 2}) types[id] = 3;
  gguf.value("tokenizer.ggml.model", "gpt2").value("tokenizer.ggml.pre", "gpt-2");
  gguf.value("tokenizer.ggml.tokens", tokens).value("tokenizer.ggml.token_type", types);
  gguf.value("tokenizer.ggml.merges", std::vector<std::string>{});
  gguf.value("tokenizer.ggml.eos_token_id", uint32_t{2}).value("tokenizer.ggml.bos_token_id", uint32_t{1});
  gguf.value("tokenizer.ggml.add_bos_token", true);
  gguf.value("tokenizer.chat_template", "{% for m in messages %}{{ m['content'] }}{% endfor %}");
  for (const NamedTensor& t : golden.tensors) {
    std::vector<uint64_t> sizes(t.tensor.size, t.tensor.size + t.tensor.dims);
    gguf.tensor(t.name, t.tensor.dtype, sizes,
                {static_cast<const char*>(t.tensor.data), static_cast<size_t>(t.tensor.bytes())});
  }
  return write("tiny.gguf", gguf.bytes());
}

TEST_F(Extend, AGgufFileIsWritten) {
  std::string model = tiny_model(64);
  for (const char* type : {"f32", "q8_0"}) {
    std::string file = out(type) + ".gguf";
    Outcome r = run({"convert", model, "--type", type, "-o", file, "--json"});
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.json()["file"], file);
    EXPECT_EQ(r.json()["window"], 64);
    std::vector<double> after = logprobs(file), before = logprobs(model);
    if (type[0] == 'f') expect_same(after, before, 1e-4);
    // Q8_0 is off by half of a 127th of the largest of 32 weights, which wild random weights spread widely.
    double sum = 0;
    for (size_t i = 0; i < before.size(); ++i) sum += std::abs(after[i] - before[i]);
    EXPECT_LT(sum / static_cast<double>(before.size()), 0.25) << type;
  }
  Outcome smaller = run({"convert", out("f32.gguf"), "--type", "q4_0", "-o", out("q4.gguf")});
  ASSERT_EQ(smaller.status, 0) << smaller.err;
  EXPECT_LT(fs::file_size(out("q4.gguf")), fs::file_size(out("q8_0.gguf")));
  Outcome longer = run({"extend", model, "--position", "yarn", "--to", "256", "-o", out("long.gguf")});
  ASSERT_EQ(longer.status, 0) << longer.err;
  expect_same(logprobs(out("long.gguf")), logprobs(model, "yarn:factor=4"), 1e-4);
}

TEST_F(Extend, TypesOfGgufNeedAGgufFile) {
  Outcome r = run({"convert", tiny_model(64), "--type", "q4_k", "-o", out("new")});
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_NE(r.err.find("new.gguf"), std::string::npos) << r.err;
  EXPECT_FALSE(fs::exists(dir_ / "new"));
}

TEST_F(Extend, ADirectoryKeepsItsWeightsAndGetsANewWindow) {
  std::string model = tiny_model(64);
  Outcome r = run({"extend", model, "--position", "yarn", "--to", "256", "-o", out("new/"), "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.json()["window"], 256);
  Json config = parse_json_file(dir_ / "new" / "config.json");
  EXPECT_EQ(config["rope_scaling"]["factor"], 4);
  EXPECT_EQ(config["max_position_embeddings"], 256);
  EXPECT_EQ(config["eos_token_id"], 2);
  Json tokenizer = parse_json_file(dir_ / "new" / "tokenizer_config.json");
  EXPECT_EQ(tokenizer["model_max_length"], 256);
  EXPECT_EQ(tokenizer["eos_token"], "<|end|>");
  EXPECT_EQ(fs::hard_link_count(dir_ / "new" / "model.safetensors"), 2u);
  EXPECT_EQ(fs::hard_link_count(dir_ / "new" / "tokenizer.json"), 1u);
  EXPECT_FALSE(fs::exists(dir_ / "new.partial"));
  expect_same(logprobs(out("new")), logprobs(model, "yarn:factor=4"), 0);
}

TEST_F(Extend, ATableOfFrequenciesIsWrittenAsWhatItComesDownTo) {
  std::string model = tiny_model(64), spec = "dynamic_ntk:factor=2,length=200";
  Outcome r = run({"extend", model, "--position", spec, "--to", "200", "-o", out("new")});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("comes down to"), std::string::npos) << r.err;
  expect_same(logprobs(out("new")), logprobs(model, spec), 1e-5);
}

TEST_F(Extend, WhatOnlyLongspanKnowsIsKept) {
  std::string model = tiny_model(64), spec = "self_extend:group=4,window=16";
  Outcome r = run({"extend", model, "--position", spec, "--to", "200", "-o", out("new")});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("only longspan reads"), std::string::npos) << r.err;
  expect_same(logprobs(out("new")), logprobs(model, spec), 0);
}

TEST_F(Extend, AGgufFileBecomesADirectory) {
  std::string model = tiny_gguf();
  Outcome r = run({"extend", model, "--position", "linear:factor=4", "--to", "256", "--type", "f32", "-o",
                   out("new"), "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json config = parse_json_file(dir_ / "new" / "config.json");
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["max_position_embeddings"], 256);
  EXPECT_EQ(config["eos_token_id"], 2);
  EXPECT_EQ(parse_json_file(dir_ / "new" / "generation_config.json")["eos_token_id"], Json::array({2}));
  Json tokenizer = parse_json_file(dir_ / "new" / "tokenizer_config.json");
  EXPECT_EQ(tokenizer["bos_token"], "<|start|>");
  EXPECT_EQ(tokenizer["chat_template"], "{% for m in messages %}{{ m['content'] }}{% endfor %}");
  std::vector<std::string> ids = {"tokenize", model, "a fox<|end|>12?", "--json"};
  std::string want = run(ids).out;
  ids[1] = out("new");
  EXPECT_EQ(run(ids).out, want);
  expect_same(logprobs(out("new")), logprobs(model, "linear:factor=4"), 1e-6);

  // Of the type that the file does not say, and back from it.
  ASSERT_EQ(run({"convert", model, "--type", "bf16", "-o", out("brain")}).status, 0);
  EXPECT_EQ(parse_json_file(dir_ / "brain" / "config.json")["torch_dtype"], "bfloat16");
  expect_same(logprobs(out("brain")), logprobs(model), 0.3);
}

TEST_F(Extend, AnotherType) {
  std::string model = tiny_model(64);
  ASSERT_EQ(run({"convert", model, "--type", "f16", "-o", out("half")}).status, 0);
  EXPECT_EQ(parse_json_file(dir_ / "half" / "config.json")["torch_dtype"], "float16");
  EXPECT_LT(fs::file_size(dir_ / "half" / "model.safetensors"),
            fs::file_size(fs::path(model) / "model.safetensors") * 6 / 10);
  EXPECT_TRUE(fs::exists(dir_ / "half" / "tokenizer.json"));
  expect_same(logprobs(out("half")), logprobs(model), 0.05);
  ASSERT_EQ(run({"convert", out("half"), "--type", "f32", "-o", out("back")}).status, 0);
  expect_same(logprobs(out("back")), logprobs(out("half")), 1e-4);
}

TEST_F(Extend, NothingIsOverwritten) {
  std::string model = tiny_model(64);
  write("file", "x");
  fs::create_directories(dir_ / "full");
  write("full/precious", "x");
  fs::create_directories(dir_ / "empty");
  fs::create_directories(dir_ / "other.partial");
  auto extend = [&](const char* name) {
    return run({"extend", model, "--position", "linear:factor=2", "--to", "128", "-o", out(name)});
  };
  for (const char* name : {"file", "full", "other"}) {
    Outcome r = extend(name);
    EXPECT_EQ(r.status, 1) << name;
    EXPECT_TRUE(r.one_sentence()) << r.err;
  }
  EXPECT_EQ(read_file(dir_ / "full" / "precious"), "x");
  EXPECT_EQ(extend("empty").status, 0);
  EXPECT_EQ(run({"extend", model, "--to", "128", "-o", out("a")}).status, 2);
  EXPECT_EQ(run({"extend", model, "--position", "linear:factor=x", "--to", "128", "-o", out("a")}).status, 1);
  EXPECT_FALSE(fs::exists(dir_ / "a"));
}

}  // namespace

}  // namespace longspan
