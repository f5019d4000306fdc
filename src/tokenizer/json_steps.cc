#include "tokenizer/json_steps.h"

#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/unicode.h"

namespace longspan {

namespace {

std::string type_of(const Json& section, const char* what, const std::string& source) {
  if (!section.is_object() || !json_at(section, "type").is_string())
    fail("{}: a {} without a \"type\": {}", source, what, excerpt_json(section, 200));
  return section["type"].get<std::string>();
}

[[noreturn]] void unsupported(const char* what, const std::string& type, const std::string& source) {
  fail("{}: the {} {} is not supported", source, what, in_quotes(type));
}

/// The parts of a section in order, with nested "Sequence" entries expanded. Not recursive: a file may nest
/// arbitrarily deep.
std::vector<const Json*> parts_of(const Json& section, const char* list, const char* what,
                                  const std::string& source) {
  std::vector<const Json*> open{&section}, parts;
  while (!open.empty()) {
    const Json* part = open.back();
    open.pop_back();
    if (part->is_null()) continue;
    if (type_of(*part, what, source) != "Sequence") {
      parts.push_back(part);
      continue;
    }
    auto& inner = json_at(*part, list);
    if (!inner.is_array()) fail("{}: a Sequence should hold a list \"{}\"", source, list);
    for (size_t k = inner.size(); k-- > 0;) open.push_back(&inner[k]);
  }
  return parts;
}

std::string text_at(const Json& section, const char* key, const std::string& source) {
  auto& value = json_at(section, key);
  if (!value.is_string())
    fail("{}: \"{}\" should be a string in {}", source, key, excerpt_json(section, 200));
  return value.get<std::string>();
}

bool flag_at(const Json& section, const char* key, bool otherwise, const std::string& source) {
  auto& value = json_at(section, key);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean())
    fail("{}: \"{}\" should be true or false in {}", source, key, excerpt_json(section, 200));
  return value.get<bool>();
}

Pattern pattern_at(const Json& section, const std::string& source) {
  auto& pattern = json_at(section, "pattern");
  if (json_at(pattern, "String").is_string()) return literal_pattern(pattern["String"].get<std::string>());
  if (json_at(pattern, "Regex").is_string())
    return regex_pattern(pattern["Regex"].get<std::string>(), source);
  fail("{}: a pattern should be {{\"String\": ...}} or {{\"Regex\": ...}}, not {}", source,
       excerpt_json(pattern, 200));
}

SplitBehavior behavior_at(const Json& section, const std::string& source) {
  auto name = text_at(section, "behavior", source);
  if (name == "Removed") return SplitBehavior::Removed;
  if (name == "Isolated") return SplitBehavior::Isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::MergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::MergedWithNext;
  if (name == "Contiguous") return SplitBehavior::Contiguous;
  unsupported("split behavior", name, source);
}

PreTokenizerStep split_step(Pattern pattern, SplitBehavior behavior, bool invert = false) {
  PreTokenizerStep step;
  step.pattern = std::move(pattern);
  step.behavior = behavior;
  step.invert = invert;
  return step;
}

PreTokenizerStep split_step(bool (*predicate)(char32_t), SplitBehavior behavior) {
  Pattern pattern;
  pattern.predicate = predicate;
  return split_step(pattern, behavior);
}

PreTokenizerStep prefix_step(std::string text, bool at_start_only) {
  PreTokenizerStep step;
  step.kind = PreTokenizerStep::Kind::Prefix;
  step.text = std::move(text);
  step.at_start_only = at_start_only;
  return step;
}

void read_byte_level(const Json& section, const std::string& source, std::vector<PreTokenizerStep>& steps) {
  if (flag_at(section, "add_prefix_space", true, source)) steps.push_back(prefix_step(" ", false));
  if (flag_at(section, "use_regex", true, source))
    steps.push_back(split_step(regex_pattern(kGpt2Pattern, source), SplitBehavior::Isolated));
  PreTokenizerStep map;
  map.kind = PreTokenizerStep::Kind::ByteMap;
  steps.push_back(map);
}

/// "always", "first" or "never": prepend_scheme since tokenizers 0.19, add_prefix_space before.
std::string prepend_scheme(const Json& section, const std::string& source) {
  auto& scheme = json_at(section, "prepend_scheme");
  if (scheme.is_null()) return flag_at(section, "add_prefix_space", true, source) ? "always" : "never";
  auto name = text_at(section, "prepend_scheme", source);
  if (name != "always" && name != "first" && name != "never") unsupported("prepend_scheme", name, source);
  return name;
}

void read_metaspace(const Json& section, const std::string& source, std::vector<PreTokenizerStep>& steps) {
  auto replacement = text_at(section, "replacement", source);
  PreTokenizerStep replace;
  replace.kind = PreTokenizerStep::Kind::Replace;
  replace.pattern = literal_pattern(" ");
  replace.text = replacement;
  steps.push_back(replace);
  auto scheme = prepend_scheme(section, source);
  if (scheme != "never") steps.push_back(prefix_step(replacement, scheme == "first"));
  if (flag_at(section, "split", true, source))
    steps.push_back(split_step(literal_pattern(replacement), SplitBehavior::MergedWithNext));
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

std::string base64(const std::string& text, const std::string& source) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    if (c == '=') break;
    int d = base64_digit(c);
    if (d < 0) fail("{}: precompiled_charsmap is not base64", source);
    bits = bits << 6 | static_cast<uint32_t>(d);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out.push_back(static_cast<char>(bits >> held));
    }
  }
  return out;
}

const std::pair<const char*, NormalizerStep::Kind> kPlainNormalizers[] = {
    {"NFC", NormalizerStep::Kind::Nfc},
    {"NFD", NormalizerStep::Kind::Nfd},
    {"NFKC", NormalizerStep::Kind::Nfkc},
    {"NFKD", NormalizerStep::Kind::Nfkd},
    {"Lowercase", NormalizerStep::Kind::Lowercase},
    {"StripAccents", NormalizerStep::Kind::StripAccents},
    {"Nmt", NormalizerStep::Kind::Nmt}};

size_t count_at(const Json& section, const char* key, const std::string& source) {
  auto& value = json_at(section, key);
  if (!value.is_number_unsigned())
    fail("{}: \"{}\" should be a count in {}", source, key, excerpt_json(section));
  return value.get<size_t>();
}

int32_t id_in(const Json& value, const std::string& source) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > std::numeric_limits<int32_t>::max())
    fail("{}: the post_processor has {} where a token id should be", source, excerpt_json(value, 100));
  return value.get<int32_t>();
}

void read_template(const Json& section, const std::string& source, SpecialAround& around) {
  std::vector<int32_t> prefix;
  bool seen_text = false;
  for (auto& item : json_at(section, "single")) {
    if (!json_at(item, "Sequence").is_null()) {
      if (seen_text) fail("{}: the template of the post_processor repeats the text", source);
      seen_text = true;
      continue;
    }
    auto name = text_at(json_at(item, "SpecialToken"), "id", source);
    auto& entry = json_at(json_at(section, "special_tokens"), name.c_str());
    if (!json_at(entry, "ids").is_array())
      fail("{}: the template of the post_processor names {}, which special_tokens lacks", source,
           in_quotes(name));
    for (auto& id : entry["ids"]) (seen_text ? around.suffix : prefix).push_back(id_in(id, source));
  }
  if (!seen_text) fail("{}: the template of the post_processor has no place for the text", source);
  around.prefix.insert(around.prefix.begin(), prefix.begin(), prefix.end());
}

void read_normalizer_part(const Json& section, const std::string& source,
                          std::vector<NormalizerStep>& steps) {
  auto type = type_of(section, "normalizer", source);
  if (type == "BertNormalizer") {
    BertNormalization bert;
    bert.clean = flag_at(section, "clean_text", true, source);
    bert.han = flag_at(section, "handle_chinese_chars", true, source);
    bert.lowercase = flag_at(section, "lowercase", true, source);
    bert.strip_accents = flag_at(section, "strip_accents", bert.lowercase, source);
    return add_bert_normalizer(bert, steps);
  }
  NormalizerStep step;
  bool known = false;
  for (auto& [name, kind] : kPlainNormalizers)
    if (type == name) step.kind = kind, known = true;
  if (type == "Prepend") {
    step.kind = NormalizerStep::Kind::Prepend;
    step.text = text_at(section, "prepend", source);
  } else if (type == "Replace") {
    step.kind = NormalizerStep::Kind::Replace;
    step.pattern = pattern_at(section, source);
    step.text = text_at(section, "content", source);
  } else if (type == "Strip") {
    step.kind = NormalizerStep::Kind::Strip;
    step.left = flag_at(section, "strip_left", true, source);
    step.right = flag_at(section, "strip_right", true, source);
  } else if (type == "Precompiled") {
    if (json_at(section, "precompiled_charsmap").is_null()) return;
    step.kind = NormalizerStep::Kind::Precompiled;
    step.charsmap =
        std::make_shared<Charsmap>(base64(text_at(section, "precompiled_charsmap", source), source), source);
  } else if (!known) {
    unsupported("normalizer", type, source);
  }
  steps.push_back(std::move(step));
}

void read_pre_tokenizer_part(const Json& section, const std::string& source,
                             std::vector<PreTokenizerStep>& steps) {
  auto type = type_of(section, "pre_tokenizer", source);
  if (type == "ByteLevel") {
    read_byte_level(section, source, steps);
  } else if (type == "Metaspace") {
    read_metaspace(section, source, steps);
  } else if (type == "Split") {
    steps.push_back(split_step(pattern_at(section, source), behavior_at(section, source),
                               flag_at(section, "invert", false, source)));
  } else if (type == "Digits") {
    bool each = flag_at(section, "individual_digits", false, source);
    steps.push_back(split_step(is_numeric, each ? SplitBehavior::Isolated : SplitBehavior::Contiguous));
  } else if (type == "Punctuation") {
    bool given = !json_at(section, "behavior").is_null();
    steps.push_back(
        split_step(is_punctuation, given ? behavior_at(section, source) : SplitBehavior::Isolated));
  } else if (type == "WhitespaceSplit") {
    steps.push_back(split_step(is_white_space, SplitBehavior::Removed));
  } else if (type == "BertPreTokenizer") {
    add_bert_pre_tokenizer(steps);
  } else if (type == "Whitespace") {
    // Only \w+|[^\w\s]+ stays: remove the white space, then separate words from the rest.
    steps.push_back(split_step(is_white_space, SplitBehavior::Removed));
    steps.push_back(split_step(is_word, SplitBehavior::Contiguous));
  } else {
    unsupported("pre_tokenizer", type, source);
  }
}

void read_decoder_part(const Json& section, const std::string& source, std::vector<DecoderStep>& steps) {
  using Kind = DecoderStep::Kind;
  auto type = type_of(section, "decoder", source);
  DecoderStep step;
  if (type == "ByteLevel") {
    step.kind = Kind::ByteLevel;
  } else if (type == "ByteFallback") {
    step.kind = Kind::ByteFallback;
  } else if (type == "Fuse") {
    step.kind = Kind::Fuse;
  } else if (type == "Metaspace") {
    step.kind = Kind::Metaspace;
    step.content = text_at(section, "replacement", source);
    step.start = prepend_scheme(section, source) == "never" ? 0 : 1;
  } else if (type == "WordPiece") {
    step = wordpiece_decoder(text_at(section, "prefix", source), flag_at(section, "cleanup", true, source));
  } else if (type == "Replace") {
    step.kind = Kind::Replace;
    step.pattern = pattern_at(section, source);
    step.content = text_at(section, "content", source);
  } else if (type == "Strip") {
    step.kind = Kind::Strip;
    step.content = text_at(section, "content", source);
    step.start = count_at(section, "start", source);
    step.stop = count_at(section, "stop", source);
  } else {
    unsupported("decoder", type, source);
  }
  steps.push_back(std::move(step));
}

void read_post_processor_part(const Json& section, const std::string& source, SpecialAround& around) {
  auto type = type_of(section, "post_processor", source);
  if (type == "TemplateProcessing") {
    read_template(section, source, around);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    auto &cls = json_at(section, "cls"), &sep = json_at(section, "sep");
    if (!cls.is_array() || cls.size() != 2 || !sep.is_array() || sep.size() != 2)
      fail("{}: the post_processor {} should hold \"cls\" and \"sep\" as [token, id]", source, type);
    around.prefix.insert(around.prefix.begin(), id_in(cls[1], source));
    around.suffix.push_back(id_in(sep[1], source));
  } else if (type != "ByteLevel") {  // ByteLevel only trims offsets
    unsupported("post_processor", type, source);
  }
}

}  // namespace

const Json& json_at(const Json& section, const char* key) {
  static const Json kNull;
  if (!section.is_object()) return kNull;
  auto found = section.find(key);
  return found == section.end() ? kNull : *found;
}

void read_normalizer(const Json& section, const std::string& source, std::vector<NormalizerStep>& steps) {
  for (auto* part : parts_of(section, "normalizers", "normalizer", source))
    read_normalizer_part(*part, source, steps);
}

void add_bert_normalizer(const BertNormalization& bert, std::vector<NormalizerStep>& steps) {
  auto add = [&](NormalizerStep::Kind kind) {
    NormalizerStep step;
    step.kind = kind;
    steps.push_back(step);
  };
  if (bert.clean) add(NormalizerStep::Kind::BertClean);
  if (bert.han) add(NormalizerStep::Kind::BertHan);
  if (bert.strip_accents) add(NormalizerStep::Kind::Nfd), add(NormalizerStep::Kind::StripNonspacing);
  if (bert.lowercase) add(NormalizerStep::Kind::Lowercase);
}

void add_bert_pre_tokenizer(std::vector<PreTokenizerStep>& steps) {
  steps.push_back(split_step(is_white_space, SplitBehavior::Removed));
  steps.push_back(split_step(is_punctuation, SplitBehavior::Isolated));
}

DecoderStep wordpiece_decoder(const std::string& prefix, bool cleanup) {
  DecoderStep step;
  step.kind = DecoderStep::Kind::WordPiece;
  step.content = prefix;
  step.start = cleanup ? 1 : 0;
  return step;
}

void read_pre_tokenizer(const Json& section, const std::string& source,
                        std::vector<PreTokenizerStep>& steps) {
  for (auto* part : parts_of(section, "pretokenizers", "pre_tokenizer", source))
    read_pre_tokenizer_part(*part, source, steps);
}

void read_decoder(const Json& section, const std::string& source, std::vector<DecoderStep>& steps) {
  for (auto* part : parts_of(section, "decoders", "decoder", source)) read_decoder_part(*part, source, steps);
}

void read_post_processor(const Json& section, const std::string& source, SpecialAround& around) {
  for (auto* part : parts_of(section, "processors", "post_processor", source))
    read_post_processor_part(*part, source, around);
}

}  // namespace longspan
