// Each command on a tiny model: exit status, JSON fields, and the sentences for what goes wrong.
#include "cli/program.h"

#include <sys/stat.h>

#include <cmath>

#include "kernels/kernels.h"

namespace longspan {

namespace {

std::string sentence(size_t characters) {
  std::string text;
  while (text.size() < characters) text += "the quick brown fox jumps over the lazy dog. ";
  text.resize(characters);
  return text;
}

void expect_fields(const Json& object, const std::vector<std::string>& fields) {
  for (const std::string& field : fields)
    EXPECT_TRUE(object.contains(field)) << field << " in " << object.dump();
}

using Program = ProgramTest;

TEST_F(Program, InfoHasItsFieldsAndTheMemoryAddsUp) {
  Outcome r = run({"info", tiny_model(64), "--context", "128", "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json info = r.json();
  expect_fields(info, {"architecture", "parameters", "layers", "heads", "kv_heads", "head_dim", "vocab",
                       "native_context", "position", "tokenizer", "weights_bytes", "kv_bytes_per_token"});
  EXPECT_EQ(info["native_context"], 64);
  EXPECT_EQ(info["layers"], 2);
  int64_t sum = 0;
  for (const auto& [key, bytes] : info["memory"].items())
    if (key != "total") sum += bytes.get<int64_t>();
  EXPECT_EQ(info["memory"]["total"], sum);
  const Json& by = info["memory_by_weights"];
  EXPECT_EQ(by["packed"].get<int64_t>() - by["lean"].get<int64_t>(),
            run({"info", tiny_model(64), "--context", "128", "--json", "--weights", "packed"})
                .json()["memory"]["packed"]);
  Outcome table = run({"info", tiny_model(64), "--context", "128"});
  EXPECT_NE(table.out.find("keys and values"), std::string::npos);
  EXPECT_EQ(table.out.find("memory_to_score"), std::string::npos);
  EXPECT_TRUE(info["here"]["fits"].get<bool>());
  EXPECT_GT(info["here"]["longest"], 128);
  Json huge = run({"info", tiny_model(64), "--context", "100000M", "--json"}).json();
  EXPECT_FALSE(huge["here"]["fits"].get<bool>());
  EXPECT_EQ(huge["here"]["longest"].get<int64_t>() % 256, 0);  // whole pages
}

TEST_F(Program, MethodsListsEveryMethodWithItsPaper) {
  Outcome r = run({"methods", "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  std::vector<std::string> names;
  Json rows = r.json()["methods"];
  for (const Json& m : rows) {
    expect_fields(m, {"name", "paper", "needs"});
    names.push_back(m["name"]);
  }
  for (const char* name : {"rope", "linear", "abf", "ntk", "dynamic_ntk", "yarn"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
}

TEST_F(Program, FrequenciesOfLinearAreTheModelsDividedByTheFactor) {
  std::string model = tiny_model(64);
  Json plain = run({"frequencies", model, "--json"}).json();
  Json linear =
      run({"frequencies", model, "--position", "linear:factor=4", "--length", "200", "--json"}).json();
  expect_fields(linear, {"inv_freq", "attention_scale", "zones"});
  ASSERT_EQ(plain["inv_freq"].size(), 4u);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(linear["inv_freq"][i].get<double>(), plain["inv_freq"][i].get<double>() / 4, 1e-15);
}

TEST_F(Program, TextToIdsAndBack) {
  std::string model = tiny_model(64);
  Outcome ids = run({"tokenize", model, "a dog", "--json"});
  ASSERT_EQ(ids.status, 0) << ids.err;
  std::vector<int32_t> numbers = ids.json()["ids"];
  ASSERT_EQ(numbers.size(), 5u);
  std::vector<std::string> back = {"detokenize", model};
  for (int32_t id : numbers) back.push_back(std::to_string(id));
  back.push_back("--json");
  EXPECT_EQ(run(back).json()["text"], "a dog");
  EXPECT_EQ(run({"tokenize", model, "--file", write("t", "a dog"), "--json"}).out, ids.out);
  EXPECT_EQ(run({"tokenize", model, "--file", "-", "--json"}, "a dog").out, ids.out);
  EXPECT_EQ(run({"detokenize", model, "99999"}).status, 1);
}

TEST_F(Program, ScoreIsTheSameInChunksOfAnySize) {
  std::string model = tiny_model(64), text = write("text", sentence(60));
  Outcome whole = run({"score", model, "--file", text, "--compute", "f32", "--cache-type", "f32", "--json"});
  ASSERT_EQ(whole.status, 0) << whole.err;
  Json a = whole.json(), b = run({"score", model, "--file", text, "--chunk", "7", "--compute", "f32",
                                  "--cache-type", "f32", "--json"})
                                 .json();
  expect_fields(a, {"tokens", "nll", "perplexity", "logprobs"});
  EXPECT_EQ(a["tokens"], 60);
  ASSERT_EQ(a["logprobs"].size(), 59u);
  double sum = 0;
  for (size_t i = 0; i < 59; ++i) {
    EXPECT_NEAR(a["logprobs"][i].get<double>(), b["logprobs"][i].get<double>(), 1e-4);
    sum -= a["logprobs"][i].get<double>();
  }
  EXPECT_NEAR(a["nll"].get<double>(), sum / 59, 1e-6);
  EXPECT_NEAR(a["perplexity"].get<double>(), std::exp(a["nll"].get<double>()),
              1e-6 * a["perplexity"].get<double>());
  Json first = run({"score", model, "--file", text, "--length", "20", "--from", "10", "--json"}).json();
  EXPECT_EQ(first["tokens"], 20);
  EXPECT_EQ(first["scored"], 10);
}

TEST_F(Program, WhatDoesNotFitIsRefusedWithItsNumbersAndTheWaysOut) {
  std::string model = tiny_model(64), text = write("text", sentence(150));
  Outcome r = run({"score", model, "--file", text, "--json"});
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_EQ(r.out, "");
  for (const char* part : {"150 tokens", "64", "KiB", "yarn:factor=2.4", "--truncate", "--context 150"})
    EXPECT_NE(r.err.find(part), std::string::npos) << part << " in " << r.err;
  EXPECT_EQ(run({"score", model, "--file", text, "--position", "yarn:factor=4", "--json"}).json()["tokens"],
            150);
  EXPECT_EQ(run({"score", model, "--file", text, "--context", "150", "--json"}).json()["tokens"], 150);
  for (const char* side : {"middle", "left", "right"}) {
    Outcome cut = run({"score", model, "--file", text, "--truncate", side, "--json"});
    EXPECT_EQ(cut.json()["tokens"], 64);
    EXPECT_NE(cut.err.find("cut 86 of 150 tokens"), std::string::npos) << cut.err;
  }
}

TEST_F(Program, GenerateIsTheSameTwiceAndFollowsTheSeed) {
  std::string model = tiny_model(256);
  std::vector<std::string> sampled = {"generate",      model, "--prompt", "the dog", "-n",    "24",
                                      "--temperature", "1",   "--seed",   "7",       "--json"};
  Outcome first = run(sampled), second = run(sampled);
  ASSERT_EQ(first.status, 0) << first.err;
  Json a = first.json(), b = second.json();
  expect_fields(a, {"text", "ids", "prompt_tokens", "prefill_s", "decode_s"});
  EXPECT_EQ(a["ids"], b["ids"]);
  EXPECT_EQ(a["prompt_tokens"], 7);
  EXPECT_LE(a["ids"].size(), 24u);
  sampled[9] = "8";
  EXPECT_NE(run(sampled).json()["ids"], a["ids"]);
  Outcome people = run({"generate", model, "--prompt", "the dog", "-n", "4"});
  EXPECT_EQ(
      people.out,
      run({"generate", model, "--prompt", "the dog", "-n", "4", "--json"}).json()["text"].get<std::string>() +
          "\n");
}

TEST_F(Program, AskSharesTheDocumentAmongQuestions) {
  std::string model = tiny_model(512), text = write("text", sentence(150));
  auto ask = [&](std::vector<std::string> questions) {
    std::vector<std::string> arguments = {"ask",       model, "--file",       text,  "-n",    "8",
                                          "--compute", "f32", "--cache-type", "f32", "--json"};
    arguments.insert(arguments.end(), questions.begin(), questions.end());
    return run(arguments);
  };
  Outcome both = ask({"who jumps?", "what is lazy?"});
  ASSERT_EQ(both.status, 0) << both.err;
  size_t line_end = both.out.find('\n');
  Json one = parse_json(both.out.substr(0, line_end), "line 1"),
       two = parse_json(both.out.substr(line_end + 1), "line 2");
  expect_fields(one, {"answer", "prompt_tokens", "prefill_s", "decode_s"});
  EXPECT_EQ(one["reused_tokens"], 0);
  EXPECT_GT(two["reused_tokens"], 150);
  EXPECT_EQ(two["answer"], ask({"what is lazy?"}).json()["answer"]);
}

TEST_F(Program, AskCutsOnlyTheDocument) {
  std::string model = tiny_model(256), text = write("text", sentence(400));
  Outcome refused = run({"ask", model, "--file", text, "-n", "8", "who jumps?"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(refused.one_sentence()) << refused.err;
  Outcome cut =
      run({"ask", model, "--file", text, "-n", "8", "--truncate", "middle", "--json", "who jumps?"});
  ASSERT_EQ(cut.status, 0) << cut.err;
  EXPECT_EQ(cut.json()["prompt_tokens"], 248);
}

TEST_F(Program, ChatFeedsOnlyWhatIsNew) {
  Outcome r = run({"chat", tiny_model(512), "-n", "4", "--json"},
                  "the quick fox\nwho jumps?\n/reset\nthe quick fox\n");
  ASSERT_EQ(r.status, 0) << r.err;
  std::vector<Json> lines;
  for (size_t at = 0, end; (end = r.out.find('\n', at)) != std::string::npos; at = end + 1)
    lines.push_back(parse_json(r.out.substr(at, end - at), "line"));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_GT(lines[1]["reused_tokens"], lines[0]["prompt_tokens"].get<int>() - 2);
  EXPECT_EQ(lines[2]["prompt_tokens"], lines[0]["prompt_tokens"]);
  EXPECT_EQ(lines[2]["answer"], lines[0]["answer"]);
}

TEST_F(Program, ChatClimbsTheLadderOnlyWhereTheLengthMatters) {
  std::string model = tiny_model(512), first = sentence(1800), input = first + "\n" + first + "\n";
  Outcome ntk =
      run({"chat", model, "-n", "4", "--position", "dynamic_ntk:factor=2", "--context", "8192"}, input);
  ASSERT_EQ(ntk.status, 0) << ntk.err;
  EXPECT_NE(ntk.err.find("outgrew 2,048 tokens: reading it again for 4,096"), std::string::npos) << ntk.err;
  Outcome yarn = run({"chat", model, "-n", "4", "--position", "yarn:factor=16"}, input);
  ASSERT_EQ(yarn.status, 0) << yarn.err;
  EXPECT_EQ(yarn.err.find("outgrew"), std::string::npos) << yarn.err;
}

TEST_F(Program, DraftsChangeTheNumberOfPassesOnly) {
  std::string model = tiny_model(512), text;
  for (int i = 0; i < 6; ++i) text += "the cat sat on the mat and the dog sat on the cat. ";
  std::string file = write("text.txt", text);
  auto generate = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"generate", model, "--file", file, "-n", "64", "--compute", "f32"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  Json off = generate({"--json"}).json(), on = generate({"--draft", "ngram", "--json"}).json();
  EXPECT_EQ(on["ids"], off["ids"]);
  EXPECT_EQ(on["stop"], off["stop"]);
  EXPECT_FALSE(off.contains("drafted_tokens"));
  EXPECT_GE(on["accepted_tokens"], 0);
  EXPECT_GE(on["drafted_tokens"], on["accepted_tokens"]);
  Outcome words = generate({"--draft", "ngram"});
  std::string told = std::to_string(on["accepted_tokens"].get<int>()) + " of " +
                     std::to_string(on["drafted_tokens"].get<int>()) + " drafted";
  bool drafted = on["drafted_tokens"] > 0;  // random weights may repeat nothing
  EXPECT_EQ(words.err.find(told) != std::string::npos, drafted) << words.err;
  Outcome current = generate({"--draft", "ngram", "--position", "dynamic_ntk:factor=2,length=current"});
  EXPECT_EQ(current.status, 1);
  EXPECT_NE(current.err.find("--draft ngram"), std::string::npos) << current.err;
  EXPECT_EQ(generate({"--draft", "lookup"}).status, 2);
}

TEST_F(Program, TheEnvironmentForcesAnImplementation) {
  std::string model = tiny_model(64);
  auto used = [&](const std::string& environment, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"info", model, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments, "", environment);
  };
  for (const Kernels* k : all_kernels()) {
    Outcome r = used("LONGSPAN_KERNELS=" + std::string(k->name));
    EXPECT_EQ(r.status, k->supported() ? 0 : 1) << k->name;
    if (k->supported())
      EXPECT_EQ(r.json()["kernels"], k->name);
    else
      EXPECT_TRUE(r.one_sentence()) << r.err;
  }
  EXPECT_EQ(used("LONGSPAN_KERNELS=reference", {"--kernels", "reference"}).json()["kernels"], "reference");
  EXPECT_EQ(used("LONGSPAN_KERNELS=").json()["kernels"], used("").json()["kernels"]);
  Outcome unknown = used("LONGSPAN_KERNELS=no_such_kernels");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_TRUE(unknown.one_sentence()) << unknown.err;
  EXPECT_NE(unknown.err.find("reference, avx2"), std::string::npos) << unknown.err;
}

TEST_F(Program, FaultsAreOneSentenceAndStatusOne) {
  std::string model = tiny_model(64), text = write("text", sentence(20));
  const std::vector<std::vector<std::string>> faults = {
      {"info", "no-such-model"},
      {"info", "smollm2"},  // the test's cache is empty
      {"info", text},
      {"score", model, "--file", "no-such-file"},
      {"score", model, "--file", write("empty", "")},
      {"score", model, "--file", text, "--position", "no_such_method"},
      {"score", model, "--file", text, "--position", "yarn:factor=zero"},
      {"score", model, "--file", text, "--kernels", "no_such_kernels"},
      {"score", model, "--file", text, "--device", "cuda:99"},
      {"score", model, "--file", text, "--from", "20"},
      {"generate", model, "--prompt", "a", "-n", "2", "--top-p", "7"},
      {"chat", model, "--file", "no-such-file"},
      {"fetch", "no-such-name"},
  };
  for (const auto& arguments : faults) {
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 1) << arguments[0] << " " << arguments[1];
    EXPECT_TRUE(r.one_sentence()) << r.err;
    EXPECT_EQ(r.out, "");
  }
  EXPECT_NE(run({"info", "smollm2"}).err.find("longspan fetch smollm2"), std::string::npos);
}

TEST_F(Program, WrongUsageIsStatusTwo) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"no-such-command"},
      {"info"},
      {"score", "m"},
      {"generate", "m"},
      {"tokenize", "m"},
      {"ask", "m", "--file", "f"},
      {"info", "m", "--no-such-option"},
      {"info", "m", "--threads", "none"},
      {"score", "m", "--file", "f", "--truncate", "top"},
      {"info", "m", "--cache-type", "q4"},
      {"generate", "m", "--prompt", "a", "--file", "f"},
  };
  for (const auto& arguments : wrong) {
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 2) << r.err;
    EXPECT_TRUE(r.one_sentence()) << r.err;
  }
  EXPECT_NE(run({"no-such-command"}).err.find("no-such-command"), std::string::npos);
}

TEST_F(Program, APipeThatNobodyWritesToIsAFaultAndNoHang) {
  std::string model = tiny_model(64), fifo = (dir_ / "fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  Outcome as_model = run({"info", fifo}), as_text = run({"score", model, "--file", fifo});
  EXPECT_EQ(as_model.status, 1);
  EXPECT_EQ(as_model.err, "longspan: " + fifo + ": is not a regular file but a pipe\n");
  EXPECT_EQ(as_text.status, 1);
  EXPECT_NE(as_text.err.find("no program writes to"), std::string::npos) << as_text.err;
  Outcome device = run({"score", model, "--file", "/dev/zero"});
  EXPECT_EQ(device.err, "longspan: /dev/zero: is not a regular file but a device\n");
  EXPECT_EQ(run({"chat", model, "--file", fifo}).status, 1);
  EXPECT_EQ(run({"ask", model, "--file", model, "Who?"}).status, 1);
}

/// What libgomp itself says it took (OMP_DISPLAY_ENV): 10,000 unless the user chose; and the variable that
/// made room for it while the program was loaded is back.
TEST_F(Program, WaitingThreadsSpinBoundedlyUnlessTheUserChose) {
  auto spins = [&](const std::string& environment) {
    std::string err = run({"methods", "--json"}, "", "env " + environment + " OMP_DISPLAY_ENV=verbose").err;
    std::string key = "GOMP_SPINCOUNT = '";
    size_t at = err.find(key);
    return at == err.npos ? err
                          : err.substr(at + key.size(), err.find('\'', at + key.size()) - at - key.size());
  };
  const std::string unset = "-u OMP_WAIT_POLICY -u GOMP_SPINCOUNT ";
  EXPECT_EQ(spins(unset), "30000");
  EXPECT_EQ(spins(unset + "GOMP_SPINCOUNT=77"), "77");
  EXPECT_EQ(spins(unset + "OMP_WAIT_POLICY=passive"), "0");
  EXPECT_EQ(spins("-i HOME=/h"), "30000");
  EXPECT_EQ(spins("-i A=b"), "300000");  // libgomp's own: nothing there could make room
  Outcome r = run({"info", "smollm2"}, "", "env -i HOME=/h");
  EXPECT_NE(r.err.find("has not been fetched"), std::string::npos) << r.err;  // its HOME is there
}

/// What the user or a file wrote comes back cut, escaped and on one line, never whole.
TEST_F(Program, ForeignTextInAnErrorIsOneBoundedLine) {
  std::string model = tiny_model(64), longest(100000, 'x');
  auto expect_short = [](const Outcome& r, int status) {
    EXPECT_EQ(r.status, status) << r.err.substr(0, 3000);
    EXPECT_TRUE(r.one_sentence()) << r.err.substr(0, 3000);
    EXPECT_LT(r.err.size(), 700u) << r.err.substr(0, 3000);
    EXPECT_NE(r.err.find("…"), std::string::npos) << r.err.substr(0, 3000);
  };
  expect_short(run({longest}), 2);
  expect_short(run({"score", model, "--file", "-", "--position", longest.substr(0, 5000)}, "a dog"), 1);
  expect_short(run({"score", model, "--file", "-", "--position", "yarn:" + longest + "=1"}, "a dog"), 1);
  Json config = parse_json_file(fs::path(model) / "config.json");
  config["architectures"] = Json::array({longest});
  config["model_type"] = longest;
  write_file_atomic(fs::path(model) / "config.json", dump_json(config));
  expect_short(run({"info", model}), 1);
  config["model_type"] = "a\x1b[2J\nb";
  write_file_atomic(fs::path(model) / "config.json", dump_json(config));
  Outcome r = run({"info", model});
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_EQ(r.err.find('\x1b'), std::string::npos) << r.err;
}

}  // namespace

}  // namespace longspan
