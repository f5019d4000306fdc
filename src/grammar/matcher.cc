#include "grammar/matcher.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 32)) * 0x9E3779B97F4A7C15u;
  return x ^ (x >> 29);
}
uint64_t key_of(int32_t a, int32_t b) {
  return static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b);
}

}  // namespace

GrammarStates::GrammarStates(std::shared_ptr<const Grammar> grammar, const MatcherLimits& limits)
    : grammar_(std::move(grammar)), limits_(limits), classes_(grammar_->byte_of_class.size()) {
  clear();
  ++round_;
  spread({grammar_->start, 0});
  start_ = keep_state();
}

void GrammarStates::clear() {
  places_.clear();
  states_.assign(1, {});
  steps_.assign(classes_, kDead);
  by_hash_.clear();
  frames_.assign(1, {Grammar::kReturn, -1});
  frame_numbers_.clear();
}

int64_t GrammarStates::bytes() const {
  // A node of a hash map is about five words.
  return std::ssize(places_) * 8 + std::ssize(steps_) * 4 + std::ssize(states_) * 56 +
         std::ssize(frames_) * 48;
}

int32_t GrammarStates::frame(int32_t node, int32_t parent) {
  if (node == Grammar::kReturn) return parent;  // nothing follows the call: its rule ends where this one does
  auto [known, added] = frame_numbers_.emplace(key_of(node, parent), static_cast<int32_t>(frames_.size()));
  if (added) frames_.push_back({node, parent});
  return known->second;
}

bool GrammarStates::first_time(Place place) {
  if (seen_count_ * 2 >= std::ssize(seen_)) {
    std::vector<Seen> old(std::max<size_t>(64, seen_.size() * 2), {{0, 0}, 0});
    old.swap(seen_);
    seen_count_ = 0;
    for (const Seen& s : old)
      if (s.round == round_) first_time(s.place);
  }
  size_t mask = seen_.size() - 1, i = mixed(key_of(place.node, place.frame)) & mask;
  for (; seen_[i].round == round_; i = (i + 1) & mask)
    if (seen_[i].place == place) return false;
  seen_[i] = {place, round_};
  ++seen_count_;
  return true;
}

void GrammarStates::spread(Place from) {
  work_.push_back(from);
  while (!work_.empty()) {
    Place at = work_.back();
    work_.pop_back();
    if (!first_time(at)) continue;
    if (++spent_ > limits_.steps)
      fail("the grammar is too ambiguous: more than {} steps for one token", grouped(limits_.steps));
    if (seen_count_ > 8 * limits_.places || std::ssize(found_) > limits_.places)
      fail("the grammar is too ambiguous: there are more than {} ways to read the text so far",
           grouped(limits_.places));
    const GrammarNode& node = grammar_->nodes[static_cast<size_t>(at.node)];
    switch (node.kind) {
      case GrammarNode::Kind::Bytes:
        found_.push_back(at);
        break;
      case GrammarNode::Kind::Split:
        work_.push_back({node.argument, at.frame});
        work_.push_back({node.next, at.frame});
        break;
      case GrammarNode::Kind::Call:
        work_.push_back({node.argument, frame(node.next, at.frame)});
        break;
      case GrammarNode::Kind::Return:
        if (at.frame == 0) {
          complete_ = true;
        } else {
          const Frame& f = frames_[static_cast<size_t>(at.frame)];
          work_.push_back({f.node, f.parent});
        }
        break;
    }
  }
}

int32_t GrammarStates::keep_state() {
  std::sort(found_.begin(), found_.end());
  uint64_t hash = complete_ ? 1 : 2;
  for (const Place& p : found_) hash = mixed(hash ^ key_of(p.node, p.frame));
  auto equal = [&](const State& s) {
    return s.complete == complete_ && s.count == std::ssize(found_) &&
           std::equal(found_.begin(), found_.end(), places_.begin() + s.first);
  };
  int32_t number = -1;
  if (found_.empty() && !complete_) number = kDead;
  auto [begin, end] = by_hash_.equal_range(hash);
  for (auto known = begin; number < 0 && known != end; ++known)
    if (equal(states_[static_cast<size_t>(known->second)])) number = known->second;
  if (number < 0) {
    number = static_cast<int32_t>(states_.size());
    states_.push_back({std::ssize(places_), static_cast<int32_t>(found_.size()), complete_});
    places_.insert(places_.end(), found_.begin(), found_.end());
    steps_.resize(steps_.size() + classes_, -1);
    by_hash_.emplace(hash, number);
    if (bytes() > limits_.most_bytes)
      fail("the grammar needs more than {} for the states of one token; make it simpler",
           human_bytes(static_cast<double>(limits_.most_bytes)));
  }
  found_.clear();
  complete_ = false;
  return number;
}

int32_t GrammarStates::make_step(int32_t state, uint8_t byte) {
  const State from = states_[static_cast<size_t>(state)];
  if (++round_ == 0) seen_.clear(), ++round_;
  seen_count_ = 0;
  for (int64_t i = from.first; i < from.first + from.count; ++i) {
    Place place = places_[static_cast<size_t>(i)];
    const GrammarNode& node = grammar_->nodes[static_cast<size_t>(place.node)];
    ++spent_;
    if (grammar_->sets[static_cast<size_t>(node.argument)][byte]) spread({node.next, place.frame});
  }
  int32_t next = keep_state();
  steps_[static_cast<size_t>(state) * classes_ + grammar_->class_of[byte]] = next;
  return next;
}

int32_t GrammarStates::within_limits(int32_t state) {
  spent_ = 0;
  if (bytes() <= limits_.kept_bytes) return state;
  ++forgotten_;
  const State kept = states_[static_cast<size_t>(state)];
  std::vector<Place> places(places_.begin() + kept.first, places_.begin() + kept.first + kept.count);
  const std::vector<Frame> frames = frames_;
  // A frame's parent has a lower number.
  std::vector<bool> used(frames.size());
  for (const Place& p : places) used[static_cast<size_t>(p.frame)] = true;
  for (size_t f = frames.size(); f-- > 1;)
    if (used[f]) used[static_cast<size_t>(frames[f].parent)] = true;
  clear();
  std::vector<int32_t> number(frames.size(), 0);
  for (size_t f = 1; f < frames.size(); ++f)
    if (used[f]) number[f] = frame(frames[f].node, number[static_cast<size_t>(frames[f].parent)]);
  for (Place& p : places) p.frame = number[static_cast<size_t>(p.frame)];
  found_ = std::move(places);
  complete_ = kept.complete;
  return keep_state();
}

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar,
                               std::shared_ptr<const TokenTrie> tokens, std::vector<int32_t> ends,
                               const MatcherLimits& limits)
    : tokens_(std::move(tokens)),
      ends_(std::move(ends)),
      states_(std::move(grammar), limits),
      state_(states_.start()),
      limits_(limits) {
  ends_.insert(ends_.end(), tokens_->ends.begin(), tokens_->ends.end());
  uint16_t deepest = 0;
  for (const TokenTrie::Node& node : tokens_->nodes) deepest = std::max(deepest, node.depth);
  path_.resize(size_t{deepest} + 1);
}

std::vector<uint64_t> GrammarMatcher::make_mask() {
  std::vector<uint64_t> mask(static_cast<size_t>(tokens_->vocabulary + 63) / 64);
  auto allow = [&](int32_t id) { mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (id % 64); };
  const TokenTrie::Node* nodes = tokens_->nodes.data();
  const int32_t *tokens = tokens_->tokens.data(), last = static_cast<int32_t>(tokens_->nodes.size()) - 1;
  path_[0] = state_;
  for (int32_t i = 0; i < last;) {
    const TokenTrie::Node& node = nodes[i];
    int32_t state = states_.step(path_[node.depth - 1u], node.byte);
    if (state == GrammarStates::kDead) {
      i = node.end;
      continue;
    }
    path_[node.depth] = state;
    for (int32_t t = node.first_token; t < nodes[i + 1].first_token; ++t) allow(tokens[t]);
    ++i;
  }
  if (complete())
    for (int32_t id : ends_)
      if (id >= 0 && id < tokens_->vocabulary) allow(id);
  if (std::all_of(mask.begin(), mask.end(), [](uint64_t word) { return word == 0; }))
    fail("the grammar cannot go on here: no token of this vocabulary {}",
         complete() ? "ends an answer" : "begins what it asks for");
  return mask;
}

std::span<const uint64_t> GrammarMatcher::allowed() {
  state_ = states_.within_limits(state_);
  if (masks_of_ != states_.forgotten() || mask_bytes_ > limits_.mask_bytes) {
    masks_.clear();
    mask_bytes_ = 0;
    masks_of_ = states_.forgotten();
  }
  auto known = masks_.find(state_);
  if (known == masks_.end()) {
    known = masks_.emplace(state_, make_mask()).first;
    mask_bytes_ += std::ssize(known->second) * 8;
  }
  return known->second;
}

void GrammarMatcher::mask(std::span<float> logits) {
  std::span<const uint64_t> words = allowed();
  size_t known = std::min(logits.size(), words.size() * 64);
  for (size_t i = 0; i < known; ++i)
    if ((words[i / 64] >> (i % 64) & 1) == 0) logits[i] = -INFINITY;
  std::fill(logits.begin() + static_cast<ptrdiff_t>(known), logits.end(), -INFINITY);
}

int32_t GrammarMatcher::nearest_allowed(int32_t id) {
  std::span<const uint64_t> words = allowed();
  auto may = [&](size_t i) { return i / 64 < words.size() && (words[i / 64] >> (i % 64) & 1) != 0; };
  if (id >= 0 && may(static_cast<size_t>(id))) return id;
  size_t first = 0;
  while (!may(first)) ++first;  // a mask is never empty
  return static_cast<int32_t>(first);
}

void GrammarMatcher::accept(int32_t id) {
  for (char byte : tokens_->bytes_of(id)) state_ = states_.step(state_, static_cast<uint8_t>(byte));
  assert(state_ != GrammarStates::kDead);
}

}  // namespace longspan
