// Speed of a tokenizer, and its ids for tools/check_tokenizers.py.
//   tokenizer_bench speed MODEL TEXT      MB per second of CPU time, encoding the file TEXT, cold and warm
//   tokenizer_bench ids MODEL STRINGS     for each string of the file: ids, decode(ids), decode(ids, skip
//   special)
// MODEL is a tokenizer.json, the GGUF keys as a *.gguf.json, or a SentencePiece *.model. STRINGS and what
// comes out on stdout are little-endian u32 counts followed by bytes or ids.
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace longspan;

Tokenizer open_tokenizer(const std::string& path) {
  if (path.ends_with(".model")) return tokenizer_from_sentencepiece(read_file(path), {}, path);
  if (path.ends_with(".gguf.json")) return tokenizer_from_gguf(parse_json_file(path), path);
  return tokenizer_from_json(parse_json_file(path), {}, path);
}

void put_count(size_t count) {
  auto value = static_cast<uint32_t>(count);
  std::fwrite(&value, 4, 1, stdout);
}

void put_text(const std::string& text) {
  put_count(text.size());
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_ids(const Tokenizer& tokenizer, const std::string& strings) {
  for (size_t i = 0; i + 4 <= strings.size();) {
    uint32_t bytes;
    std::memcpy(&bytes, strings.data() + i, 4);
    auto text = std::string_view(strings).substr(i + 4, bytes);
    i += 4 + bytes;
    auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = true});
    put_count(ids.size());
    std::fwrite(ids.data(), 4, ids.size(), stdout);
    put_text(tokenizer.decode(ids, false));
    put_text(tokenizer.decode(ids, true));
  }
}

void print_speed(const Tokenizer& tokenizer, const std::string& text) {
  for (const char* state : {"cold", "warm", "warm"}) {
    std::clock_t begin = std::clock();
    auto ids = tokenizer.encode(text);
    double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    std::printf("%s: %.1f MB/s (%zu bytes, %zu ids, %.3f s)\n", state,
                static_cast<double>(text.size()) / seconds / 1e6, text.size(), ids.size(), seconds);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) fail("usage: tokenizer_bench speed|ids MODEL FILE");
  auto tokenizer = open_tokenizer(argv[2]);
  auto input = read_file(argv[3]);
  std::string(argv[1]) == "ids" ? print_ids(tokenizer, input) : print_speed(tokenizer, input);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
