#include "tokenizer/unigram.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {
constexpr double kUnknownPenalty = 10;  // below the worst token, as in both libraries
}

double Unigram::candidate(double before, int32_t id, size_t length) const {
  auto index = static_cast<size_t>(id);
  // As observed with sentencepiece 0.2.3: user-defined pieces score by their bytes, whatever the model says.
  if (index < user_defined.size() && user_defined[index])
    return 0.1F * static_cast<float>(length) - 0.1F + before;
  return scores[index] + before;
}

void Unigram::encode(std::string_view piece, std::vector<UnigramNode>& nodes,
                     std::vector<int32_t>& out) const {
  if (piece.size() > INT32_MAX)
    fail("a piece of text of {} bytes is too long for the tokenizer", piece.size());
  nodes.assign(piece.size() + 1, {0, -1, 0});
  auto offer = [&](size_t end, double score, int32_t id, size_t length) {
    auto& node = nodes[end];
    if (single_precision) score = static_cast<float>(score);
    if (node.length != 0 && !(score > node.score)) return;
    node = {score, id, static_cast<uint32_t>(length)};
  };
  for (size_t i = 0; i < piece.size();) {
    size_t next = i;
    next_code_point(piece, next);
    bool covered = false;
    double before = nodes[i].score;
    tokens.prefixes(piece.substr(i), [&](size_t length, int32_t id) {
      offer(i + length, candidate(before, id, length), id, length);
      covered = covered || length == next - i;
    });
    if (!covered) {
      if (unknown < 0)
        fail("the text has a character outside the vocabulary, and the tokenizer has no unknown token");
      double penalised = min_score - kUnknownPenalty;
      double score = single_precision
                         ? static_cast<double>(static_cast<float>(penalised) + static_cast<float>(before))
                         : penalised + before;
      offer(next, score, unknown, next - i);
    }
    i = next;
  }

  size_t first = out.size(), end = piece.size();
  std::vector<int32_t> bytes;
  while (end > 0) {  // backwards; the ids are reversed at the end
    auto& node = nodes[end];
    size_t begin = end - node.length;
    if (node.id != unknown) {
      out.push_back(node.id);
    } else {
      while (begin > 0 && nodes[begin].id == unknown) begin -= nodes[begin].length;
      bytes.clear();
      emit_unknown(piece.substr(begin, end - begin), bytes);
      out.insert(out.end(), bytes.rbegin(), bytes.rend());
    }
    end = begin;
  }
  std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
}

void Unigram::emit_unknown(std::string_view text, std::vector<int32_t>& out) const {
  bool all = byte_fallback &&
             std::all_of(text.begin(), text.end(), [&](unsigned char b) { return byte_token[b] >= 0; });
  if (!all) return out.push_back(unknown);
  for (unsigned char b : text) out.push_back(byte_token[b]);
}

}  // namespace longspan
