#include "tokenizer/decode.h"

#include <algorithm>

#include "base/text.h"
#include "tokenizer/normalize.h"

namespace longspan {

namespace {

using Kind = DecoderStep::Kind;

std::string join(const std::vector<std::string>& tokens, std::string_view between = "") {
  std::string out;
  for (size_t k = 0; k < tokens.size(); ++k) {
    if (k > 0) out += between;
    out += tokens[k];
  }
  return out;
}

/// A token with a character outside the alphabet (an added token) is its own text.
std::string bytes_of(const std::string& token) {
  std::string bytes;
  for (size_t i = 0; i < token.size();) {
    int b = char_to_byte(next_code_point(token, i));
    if (b < 0) return token;
    bytes.push_back(static_cast<char>(b));
  }
  return bytes;
}

std::vector<std::string> join_bytes(const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string run;
  auto flush = [&] {
    if (run.empty()) return;
    if (valid_utf8(run) == run) {
      out.push_back(run);
    } else {
      out.insert(out.end(), run.size(), "\uFFFD");
    }
    run.clear();
  };
  for (auto& token : tokens) {
    int b = named_byte(token);
    if (b >= 0) {
      run.push_back(static_cast<char>(b));
    } else {
      flush();
      out.push_back(token);
    }
  }
  flush();
  return out;
}

std::string metaspace(const DecoderStep& step, const std::string& token, bool drop) {
  return replace_all(token, literal_pattern(step.content), drop ? "" : " ");
}

std::string strip(const DecoderStep& step, std::string token) {
  auto& c = step.content;
  for (size_t n = 0; n < step.start && !c.empty() && token.starts_with(c); ++n) token.erase(0, c.size());
  for (size_t n = 0; n < step.stop && !c.empty() && token.ends_with(c); ++n)
    token.resize(token.size() - c.size());
  return token;
}

/// What the library takes for artefacts of splitting, within one token.
std::string cleaned_up(std::string token) {
  static const std::pair<const char*, const char*> artefacts[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (auto& [from, to] : artefacts) token = replace_all(token, literal_pattern(from), to);
  return token;
}

std::string wordpiece(const DecoderStep& step, const std::string& token, bool first) {
  std::string text = token;
  if (!first) text = text.starts_with(step.content) ? text.substr(step.content.size()) : " " + text;
  return step.start == 1 && text.find(' ') != text.npos ? cleaned_up(text) : text;
}

void run_step(const DecoderStep& step, std::vector<std::string>& tokens) {
  switch (step.kind) {
    case Kind::ByteLevel: {
      std::string bytes;
      for (auto& t : tokens) bytes += bytes_of(t);
      tokens = {valid_utf8(bytes)};
      break;
    }
    case Kind::Metaspace:
      for (size_t k = 0; k < tokens.size(); ++k)
        tokens[k] = metaspace(step, tokens[k], k == 0 && step.start == 1);
      break;
    case Kind::ByteFallback:
      tokens = join_bytes(tokens);
      break;
    case Kind::Fuse:
      tokens = {join(tokens)};
      break;
    case Kind::Replace:
      for (auto& t : tokens) t = replace_all(t, step.pattern, step.content);
      break;
    case Kind::WordPiece:
      for (size_t k = 0; k < tokens.size(); ++k) tokens[k] = wordpiece(step, tokens[k], k == 0);
      break;
    case Kind::Strip:
      for (auto& t : tokens) t = strip(step, std::move(t));
      break;
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

int named_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int high = hex_digit(token[3]), low = hex_digit(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string decode_tokens(const std::vector<DecoderStep>& steps, std::vector<std::string> tokens) {
  if (steps.empty()) return join(tokens, " ");
  for (auto& step : steps) run_step(step, tokens);
  return join(tokens);
}

std::string decode_one_token(const std::vector<DecoderStep>& steps, const std::string& token) {
  std::string text = token;
  for (auto& step : steps) {
    if (step.kind == Kind::ByteLevel) text = bytes_of(text);
    if (step.kind == Kind::Metaspace) text = metaspace(step, text, false);
    if (step.kind == Kind::Replace) text = replace_all(text, step.pattern, step.content);
    if (step.kind == Kind::WordPiece) text = wordpiece(step, text, false);
    if (step.kind == Kind::ByteFallback && named_byte(text) >= 0)
      return std::string(1, static_cast<char>(named_byte(text)));
  }
  return text;
}

}  // namespace longspan
