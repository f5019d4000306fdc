// PrefixCache: pages of keys and values that texts left in a pool, so that a text with the same beginning
// need not be read again (SGLang's RadixAttention, Zheng 2023, arXiv 2312.07104, with whole pages for nodes).
// A page is known by its tokens, those before it, and a class: what was computed under one position spec
// belongs to one class. Tokens are compared, not digests, so that a page never stands for another text.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "model/kv_pool.h"

namespace longspan {

class PrefixCache {
 public:
  explicit PrefixCache(std::shared_ptr<KvPool> pool) : pool_(std::move(pool)) {}
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// Pages for the beginning of ids: whole ones, and perhaps a last one of which only the first tokens are of
  /// use (whoever writes into it gets a copy). They stay what they are until something is added or evicted.
  struct Match {
    std::vector<int32_t> pages;
    int64_t tokens = 0;  // (pages - 1) * kPageTokens < tokens <= pages * kPageTokens
  };
  /// Of at most `most` tokens. Marks what it finds as used now.
  Match find(int64_t of_class, std::span<const int32_t> ids, int64_t most);

  /// Remembers what pages[i] holds: ids[i * kPageTokens ..], the last one perhaps only in part. Pages of
  /// tokens that are known already are left alone.
  void add(int64_t of_class, std::span<const int32_t> ids, std::span<const int32_t> pages);

  /// Gives up to `pages` of its pages back to the pool that nobody else holds, the least recently used first,
  /// and returns how many.
  int64_t evict(int64_t pages);

  /// Pages that it holds, and those of them that nobody else does.
  int64_t pages() const { return nodes_; }
  int64_t evictable() const;

 private:
  struct Node {
    std::vector<int32_t> ids;  // at most kPageTokens
    int32_t page = -1;
    uint64_t used = 0;
    Node* parent = nullptr;
    std::list<Node> children = {};
  };
  struct Root {
    int64_t of_class = 0;
    Node node = {};
  };
  Node& root(int64_t of_class);
  /// The child that holds exactly these tokens; null when there is none.
  static Node* child(Node& node, std::span<const int32_t> ids);
  template <class Visit>
  static void walk(const Node& node, const Visit& visit);
  Node* least_recent(Node& node) const;
  void remove(Node& node);

  std::shared_ptr<KvPool> pool_;
  std::list<Root> roots_;
  uint64_t now_ = 0;
  int64_t nodes_ = 0;
};

}  // namespace longspan
