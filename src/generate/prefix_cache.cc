#include "generate/prefix_cache.h"

#include <algorithm>
#include <cassert>
#include <unordered_set>

namespace longspan {

namespace {

int64_t common(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

}  // namespace

template <class Visit>
void PrefixCache::walk(const Node& node, const Visit& visit) {
  std::vector<const Node*> open{&node};
  while (!open.empty()) {
    const Node* at = open.back();
    open.pop_back();
    visit(*at);
    for (const Node& below : at->children) open.push_back(&below);
  }
}

PrefixCache::~PrefixCache() {
  for (Root& r : roots_)
    while (!r.node.children.empty()) {
      Node* leaf = &r.node.children.front();
      while (!leaf->children.empty()) leaf = &leaf->children.front();
      remove(*leaf);
    }
}

PrefixCache::Node& PrefixCache::root(int64_t of_class) {
  for (Root& r : roots_)
    if (r.of_class == of_class) return r.node;
  roots_.push_back({.of_class = of_class});
  return roots_.back().node;
}

PrefixCache::Node* PrefixCache::child(Node& node, std::span<const int32_t> ids) {
  for (Node& below : node.children)
    if (below.ids.size() == ids.size() && std::equal(ids.begin(), ids.end(), below.ids.begin()))
      return &below;
  return nullptr;
}

PrefixCache::Match PrefixCache::find(int64_t of_class, std::span<const int32_t> ids, int64_t most) {
  Match match;
  ++now_;
  auto left = [&] {
    int64_t n = std::min({most, std::ssize(ids)}) - match.tokens;
    return ids.subspan(static_cast<size_t>(match.tokens), static_cast<size_t>(std::max<int64_t>(0, n)));
  };
  Node* node = &root(of_class);
  while (std::ssize(left()) >= kPageTokens) {
    Node* below = child(*node, left().first(kPageTokens));
    if (!below) break;
    below->used = now_;
    match.pages.push_back(below->page);
    match.tokens += kPageTokens;
    node = below;
  }
  Node* best = nullptr;
  int64_t shared = 0;
  for (Node& below : node->children)
    if (int64_t n = common(left(), below.ids); n > shared) best = &below, shared = n;
  if (best) {
    best->used = now_;
    match.pages.push_back(best->page);
    match.tokens += shared;
  }
  return match;
}

void PrefixCache::add(int64_t of_class, std::span<const int32_t> ids, std::span<const int32_t> pages) {
  assert(std::ssize(pages) >= pages_for(std::ssize(ids)));
  ++now_;
  Node* node = &root(of_class);
  for (size_t i = 0; i * kPageTokens < ids.size(); ++i) {
    auto part = ids.subspan(i * kPageTokens);
    part = part.first(std::min<size_t>(part.size(), kPageTokens));
    bool whole = part.size() == kPageTokens;
    Node* known = child(*node, part);
    // Of two pages that begin alike and are not full, only the longer one is of use.
    for (auto at = node->children.begin(); !known && at != node->children.end(); ++at) {
      int64_t shared = common(part, at->ids);
      if (shared == std::ssize(part) && !whole) {
        known = &*at;
      } else if (shared == std::ssize(at->ids)) {
        assert(at->children.empty());
        pool_->release(at->page);
        pool_->share(pages[i]);
        at->page = pages[i];
        at->ids.assign(part.begin(), part.end());
        known = &*at;
      }
    }
    if (!known) {
      pool_->share(pages[i]);
      node->children.push_back({.ids = {part.begin(), part.end()}, .page = pages[i], .parent = node});
      known = &node->children.back();
      ++nodes_;
    }
    known->used = now_;
    node = known;
    if (!whole) return;
  }
}

PrefixCache::Node* PrefixCache::least_recent(Node& node) const {
  Node* least = nullptr;
  walk(node, [&](const Node& at) {
    if (at.parent && at.children.empty() && pool_->references(at.page) == 1 &&
        (!least || at.used < least->used))
      least = const_cast<Node*>(&at);
  });
  return least;
}

void PrefixCache::remove(Node& node) {
  assert(node.children.empty() && node.parent);
  pool_->release(node.page);
  --nodes_;
  node.parent->children.remove_if([&](const Node& other) { return &other == &node; });
}

int64_t PrefixCache::evict(int64_t pages) {
  int64_t evicted = 0;
  for (; evicted < pages; ++evicted) {
    Node* least = nullptr;
    for (Root& r : roots_)
      if (Node* of_root = least_recent(r.node); of_root && (!least || of_root->used < least->used))
        least = of_root;
    if (!least) break;
    remove(*least);
  }
  roots_.remove_if([](const Root& r) { return r.node.children.empty(); });
  return evicted;
}

int64_t PrefixCache::evictable() const {
  // Leaves go first: a page that is held keeps those before it, whoever holds them.
  int64_t count = 0;
  for (const Root& r : roots_) {
    std::vector<const Node*> order;
    std::unordered_set<const Node*> kept;
    walk(r.node, [&](const Node& at) { order.push_back(&at); });
    for (auto at = order.rbegin(); at != order.rend() && (*at)->parent; ++at) {
      bool stays = pool_->references((*at)->page) > 1 || kept.contains(*at);
      if (stays)
        kept.insert((*at)->parent);
      else
        ++count;
    }
  }
  return count;
}

}  // namespace longspan
