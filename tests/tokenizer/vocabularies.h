// The golden tokenizers as the keys of GGUF files.
#pragma once

#include "tokenizer/golden.h"
#include "tokenizer/sentencepiece.h"

namespace longspan {

/// The golden byte-level tokenizer as GGUF keys.
inline Json byte_level_metadata(const char* pre) {
  Json json = parse_json_file(golden::folder() + "byte_level.json");
  Json tokens = Json::array(), types = Json::array(), merges = Json::array();
  const Json& vocab = json["model"]["vocab"];
  size_t size = vocab.size();
  for (const Json& added : json["added_tokens"]) size = std::max(size, added["id"].get<size_t>() + 1);
  for (size_t id = 0; id < size; ++id) tokens.push_back(fmt::format("[unused{}]", id)), types.push_back(5);
  for (const auto& [text, id] : vocab.items()) tokens[id.get<size_t>()] = text, types[id.get<size_t>()] = 1;
  for (const Json& added : json["added_tokens"]) {
    tokens[added["id"].get<size_t>()] = added["content"];
    types[added["id"].get<size_t>()] = added["special"].get<bool>() ? 3 : 4;
  }
  for (const Json& m : json["model"]["merges"])
    merges.push_back(m.is_string() ? m.get<std::string>()
                                   : m[0].get<std::string>() + " " + m[1].get<std::string>());
  return {{"tokenizer.ggml.model", "gpt2"},      {"tokenizer.ggml.pre", pre},
          {"tokenizer.ggml.tokens", tokens},     {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.merges", merges},     {"tokenizer.ggml.bos_token_id", 0},
          {"tokenizer.ggml.eos_token_id", 1},    {"tokenizer.ggml.add_bos_token", true},
          {"tokenizer.ggml.add_eos_token", true}};
}

/// The golden SentencePiece BPE as GGUF keys; pieces that tokenizer.json cannot say are made ordinary.
inline Json sentencepiece_metadata() {
  SentencePieceModel model =
      parse_sentencepiece(read_file(golden::folder() + "sentencepiece_bpe.model"), "m");
  Json tokens = Json::array(), types = Json::array(), scores = Json::array();
  for (size_t k = 0; k < model.pieces.size(); ++k) {
    auto type = model.types[k];
    if (type == PieceType::UserDefined || type == PieceType::Unused) type = PieceType::Normal;
    tokens.push_back(model.pieces[k]);
    types.push_back(static_cast<int>(type));
    scores.push_back(model.scores[k]);
  }
  return {{"tokenizer.ggml.model", "llama"},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.bos_token_id", 1}};
}

}  // namespace longspan
