#include "embed/description.h"

#include <algorithm>

#include "base/error.h"
#include "base/settings.h"
#include "base/text.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMostTokens = int64_t{1} << 40;

struct PoolingMode {
  const char* key;                 // of 1_Pooling/config.json
  const char* name;                // of newer files' "pooling_mode"
  std::optional<Pooling> pooling;  // null: not supported
};
constexpr PoolingMode kModes[] = {{"pooling_mode_cls_token", "cls", Pooling::Cls},
                                  {"pooling_mode_mean_tokens", "mean", Pooling::Mean},
                                  {"pooling_mode_lasttoken", "lasttoken", Pooling::Last},
                                  {"pooling_mode_max_tokens", "max", std::nullopt},
                                  {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", std::nullopt},
                                  {"pooling_mode_weightedmean_tokens", "weightedmean", std::nullopt}};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Json object_of(const fs::path& path) {
  Json json = parse_json_file(path);
  if (!json.is_object()) fail("{}: is not a JSON object", path.string());
  return json;
}

Pooling read_pooling(const fs::path& path) {
  Json json = object_of(path);
  Settings f(json, {.file = path.string()});
  std::vector<const PoolingMode*> chosen;
  std::string mode;
  f.read("pooling_mode", mode);
  for (const PoolingMode& m : kModes) {
    bool on = mode == m.name;
    f.read(m.key, on);
    if (on) chosen.push_back(&m);
  }
  if (chosen.size() != 1 || !chosen[0]->pooling)
    fail("{}: one of cls, mean and last-token pooling was expected, not {}", path.string(),
         chosen.empty()      ? "none"
         : chosen.size() > 1 ? "several"
                             : chosen[0]->key);
  bool whole = true;
  f.read("include_prompt", whole);
  if (!whole) f.refuse("include_prompt", "pooling without the instruction's tokens is not supported");
  return *chosen[0]->pooling;
}

/// "sentence_transformers.models.Pooling" -> "Pooling"; newer versions put modules elsewhere.
std::string class_of(const std::string& type) { return type.substr(type.rfind('.') + 1); }

/// The folder of the pooling module; empty when there is no modules.json.
fs::path pooling_folder(const fs::path& directory) {
  fs::path path = directory / "modules.json";
  if (!is_there(path)) return is_there(directory / "1_Pooling") ? directory / "1_Pooling" : fs::path();
  Json modules = parse_json_file(path);
  if (!modules.is_array()) fail("{}: a list of modules was expected", path.string());
  fs::path folder;
  for (const Json& module : modules) {
    if (!module.is_object()) fail("{}: a module is not an object", path.string());
    Settings f(module, {.file = path.string()});
    std::string type, at;
    f.read("type", type), f.read("path", at);
    std::string kind = class_of(type);
    if (kind == "Transformer" && !at.empty())
      fail("{}: the transformer lies in {}; give that folder's model", path.string(), in_quotes(at));
    if (kind == "Transformer" || kind == "Normalize") continue;
    if (kind != "Pooling") fail("{}: modules of type {} are not supported", path.string(), in_quotes(type));
    if (at.find("..") != at.npos || at.starts_with('/'))
      fail("{}: the path {} leaves the directory", path.string(), in_quotes(at));
    folder = directory / at;
  }
  return folder;
}

/// {"query": ..., "document": ...} of config_sentence_transformers.json.
std::optional<Instructions> own_prompts(const fs::path& path) {
  if (!is_there(path)) return std::nullopt;
  Json json = object_of(path);
  Settings f(json, {.file = path.string()});
  const Json& prompts = f.object("prompts");
  Settings p = f.inside("prompts", prompts);
  Instructions own{"the model's own", "", "", ""};
  bool query = p.read("query", own.query), key = false;
  for (const char* name : {"document", "passage"}) key = key || p.read(name, own.key);
  if (!query && !key) return std::nullopt;
  return own;
}

EmbedderDescription describe_directory(const fs::path& directory) {
  EmbedderDescription d;
  if (fs::path folder = pooling_folder(directory); !folder.empty())
    d.pooling = read_pooling(folder / "config.json");
  int64_t most = 0;
  if (fs::path path = directory / "sentence_bert_config.json"; is_there(path)) {
    Json json = object_of(path);
    Settings f(json, {.file = path.string()});
    f.read("max_seq_length", most, 1, kMostTokens);
    bool lower = false;
    f.read("do_lower_case", lower);
    if (lower) f.refuse("do_lower_case", "only tokenizers that lower-case by themselves are supported");
  }
  if (fs::path path = directory / "tokenizer_config.json"; most == 0 && is_there(path)) {
    // transformers writes 1e30 where there is no limit.
    Json json = object_of(path);
    Settings f(json, {.file = path.string()});
    double limit = 0;
    if (f.read("model_max_length", limit, 1) && limit < static_cast<double>(kMostTokens))
      most = static_cast<int64_t>(limit);
  }
  if (most > 0) d.max_tokens = most;
  d.instructions = own_prompts(directory / "config_sentence_transformers.json");
  return d;
}

EmbedderDescription describe_gguf(const Checkpoint& checkpoint) {
  EmbedderDescription d;
  Settings f(checkpoint.metadata, {.file = checkpoint.path.string()});
  std::string architecture;
  f.read("general.architecture", architecture);
  int64_t type = 0;  // llama.cpp: none, mean, cls, last, rank
  std::string key = architecture + ".pooling_type";
  if (!f.read(key, type, 0, 4)) return d;
  if (type == 4) f.refuse(key, "rerankers give no vectors");
  if (type > 0) d.pooling = type == 1 ? Pooling::Mean : type == 2 ? Pooling::Cls : Pooling::Last;
  return d;
}

}  // namespace

const char* name(Pooling pooling) {
  return pooling == Pooling::Cls ? "cls" : pooling == Pooling::Mean ? "mean" : "last";
}

Pooling pooling_named(std::string_view text) {
  for (Pooling p : {Pooling::Cls, Pooling::Mean, Pooling::Last})
    if (text == name(p)) return p;
  fail("unknown pooling {}; expected cls, mean or last", in_quotes(text));
}

EmbedderDescription describe_embedder(const Checkpoint& checkpoint) {
  return checkpoint.format == CheckpointFormat::Gguf ? describe_gguf(checkpoint)
                                                     : describe_directory(checkpoint.path);
}

}  // namespace longspan
