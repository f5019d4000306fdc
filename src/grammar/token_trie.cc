#include "grammar/token_trie.h"

#include <algorithm>
#include <string>

namespace longspan {

namespace {

struct Entry {
  std::string bytes;
  int32_t id;
};

}  // namespace

std::string_view TokenTrie::bytes_of(int32_t id) const {
  if (id < 0 || id >= vocabulary) return {};
  size_t begin = id > 0 ? byte_end[static_cast<size_t>(id) - 1] : 0;
  return std::string_view(bytes).substr(begin, byte_end[static_cast<size_t>(id)] - begin);
}

TokenTrie token_trie(const Tokenizer& tokenizer) {
  TokenTrie trie;
  trie.vocabulary = tokenizer.vocab_size();
  trie.ends = tokenizer.stop_ids();
  std::vector<Entry> entries;
  for (int32_t id = 0; id < trie.vocabulary; ++id) {
    bool end = std::find(trie.ends.begin(), trie.ends.end(), id) != trie.ends.end();
    std::string bytes = end ? "" : tokenizer.token_bytes(id);  // "" for special tokens
    if (bytes.size() > UINT16_MAX) bytes.clear();
    trie.bytes += bytes;
    trie.byte_end.push_back(trie.bytes.size());
    if (!bytes.empty()) entries.push_back({std::move(bytes), id});
  }
  // Bytes are compared as unsigned numbers by std::string.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.id < b.id;
  });
  std::vector<size_t> open;  // nodes of the bytes of the entry before
  auto close = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back())
      trie.nodes[open.back()].end = static_cast<int32_t>(trie.nodes.size());
  };
  const std::string* before = nullptr;
  for (const Entry& entry : entries) {
    size_t common = 0;
    if (before)
      common = static_cast<size_t>(
          std::mismatch(before->begin(), before->end(), entry.bytes.begin(), entry.bytes.end()).first -
          before->begin());
    close(common);
    for (size_t i = common; i < entry.bytes.size(); ++i) {
      open.push_back(trie.nodes.size());
      trie.nodes.push_back({static_cast<uint8_t>(entry.bytes[i]), static_cast<uint16_t>(i + 1), 0,
                            static_cast<int32_t>(trie.tokens.size())});
    }
    trie.tokens.push_back(entry.id);
    before = &entry.bytes;
  }
  close(0);
  trie.nodes.push_back(
      {0, 0, static_cast<int32_t>(trie.nodes.size() + 1), static_cast<int32_t>(trie.tokens.size())});
  return trie;
}

}  // namespace longspan
