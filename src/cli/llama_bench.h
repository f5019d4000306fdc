// llama.cpp's llama-bench as a peer: the same file, the same test, one run at a time, so that its runs and
// ours take turns on a machine whose speed drifts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "model/kv_pool.h"

namespace longspan::cli {

struct PeerTest {
  std::filesystem::path model;  // a GGUF file
  int threads = 1;
  bool on_host = true;
  CacheTypes cache_types;
  int64_t read = 0, write = 0, depth = 0;  // tokens; one of the first two is 0
};

/// Tokens a second of one run, after a warm-up of its own, with flash attention. Error naming the program
/// when it fails or prints anything but the JSON of one test.
double run_llama_bench(const std::string& program, const PeerTest& test);

}  // namespace longspan::cli
