// Hostile tokenizers: the first byte chooses SentencePiece, tokenizer.json, GGUF keys or vocab.txt, the rest
// is the file. Whatever loads must also encode and decode; Error is the only way out.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  if (size == 0) return 0;
  std::string_view file(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    Tokenizer tokenizer = data[0] % 4 == 0   ? tokenizer_from_sentencepiece(file, {}, "fuzz")
                          : data[0] % 4 == 1 ? tokenizer_from_json(parse_json(file, "fuzz"), {}, "fuzz")
                          : data[0] % 4 == 2 ? tokenizer_from_gguf(parse_json(file, "fuzz"), "fuzz")
                                             : tokenizer_from_vocab_txt(file, {}, "fuzz");
    auto ids = tokenizer.encode("The caf\u00e9 of  12,345 \U0001F600\n\n</s> \xFF<|im_end|>");
    tokenizer.decode(ids);
    for (int32_t id : ids) tokenizer.token_bytes(id);
  } catch (const Error&) {
  }
  return 0;
}
