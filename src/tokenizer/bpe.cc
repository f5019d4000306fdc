#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

constexpr size_t kScanBelow = 48;  // pieces of fewer symbols: a linear scan beats a heap
constexpr PairTable::Join kNoJoin{PairTable::kNever, -1};

void link(std::vector<BpeSymbol>& symbols) {
  for (size_t k = 0; k < symbols.size(); ++k) {
    symbols[k].previous = static_cast<int32_t>(k) - 1;
    symbols[k].next = k + 1 < symbols.size() ? static_cast<int32_t>(k) + 1 : -1;
  }
}

}  // namespace

void PairTable::reserve(size_t pairs) {
  if (pairs * 2 <= slots_.size()) return;
  std::vector<Slot> old(std::bit_ceil(std::max<size_t>(16, pairs * 2)));
  old.swap(slots_);
  mask_ = slots_.size() - 1;
  count_ = 0;
  for (auto& s : old)
    if (s.key != kEmpty)
      set(static_cast<int32_t>(s.key >> 32), static_cast<int32_t>(s.key), s.join.rank, s.join.symbol);
}

void PairTable::set(int32_t left, int32_t right, uint32_t rank, int32_t symbol) {
  reserve(count_ + 1);
  uint64_t key = key_of(left, right);
  size_t i = hash(key) & mask_;
  while (slots_[i].key != key && slots_[i].key != kEmpty) i = (i + 1) & mask_;
  if (slots_[i].key == kEmpty) ++count_;
  slots_[i] = {key, {rank, symbol}};
}

void Bpe::first_symbols(std::string_view piece, std::vector<BpeSymbol>& symbols) const {
  symbols.clear();
  auto add = [&](int32_t id, size_t begin, size_t end) {
    symbols.push_back(
        {id, static_cast<uint32_t>(begin), static_cast<uint32_t>(end), -1, -1, PairTable::kNever, -1});
  };
  int32_t pending = -1;  // an unknown token to which further unknown characters may be fused
  auto flush = [&](size_t at) {
    if (pending >= 0) add(pending, at, at);
    pending = -1;
  };
  auto add_unknown = [&](size_t at) {
    if (unknown < 0) return;  // as in the library: without an unknown token the character is dropped
    if (pending >= 0 && !fuse_unknown) flush(at);
    pending = unknown;
  };
  for (size_t i = 0; i < piece.size();) {
    size_t at = i;
    int32_t id = -1;
    if (byte_level) {
      id = byte_symbol[static_cast<unsigned char>(piece[i++])];
    } else {
      auto found = characters.find(next_code_point(piece, i));
      if (found != characters.end()) id = found->second;
    }
    if (id >= 0 || unknown_after_joining) {
      flush(at);
      add(id, at, i);
      continue;
    }
    if (!byte_fallback || byte_level) {
      add_unknown(at);
      continue;
    }
    auto bytes = piece.substr(at, i - at);
    bool all = std::all_of(bytes.begin(), bytes.end(), [&](unsigned char b) { return byte_token[b] >= 0; });
    if (!all) {
      add_unknown(at);
    } else {
      for (size_t k = at; k < i; ++k) add(byte_token[static_cast<unsigned char>(piece[k])], k, k + 1);
    }
  }
  flush(piece.size());
  link(symbols);
}

void Bpe::join(BpeScratch& scratch) const {
  auto& s = scratch.symbols;
  auto rate = [&](int32_t k) {  // looks up the pair (k, next of k)
    auto& a = s[static_cast<size_t>(k)];
    PairTable::Join j = a.next < 0 ? kNoJoin : look_up(a, s[static_cast<size_t>(a.next)], scratch);
    a.rank = j.rank;
    a.joined = j.symbol;
  };
  for (size_t k = 0; k < s.size(); ++k) rate(static_cast<int32_t>(k));

  if (s.size() < kScanBelow) {
    while (s.size() > 1) {
      auto best = std::min_element(s.begin(), s.end(), [](auto& a, auto& b) { return a.rank < b.rank; });
      if (best->rank == PairTable::kNever) break;
      best->id = best->joined;
      best->end = best[1].end;
      s.erase(best + 1);
      link(s);
      auto k = static_cast<int32_t>(best - s.begin());
      if (k > 0) rate(k - 1);
      rate(k);
    }
    return;
  }

  auto& heap = scratch.heap;
  heap.clear();
  for (size_t k = 0; k < s.size(); ++k)
    if (s[k].rank != PairTable::kNever) heap.emplace_back(s[k].rank, static_cast<uint32_t>(k));
  auto later = std::greater<>();
  std::make_heap(heap.begin(), heap.end(), later);
  auto offer = [&](int32_t k) {
    rate(k);
    if (s[static_cast<size_t>(k)].rank == PairTable::kNever) return;
    heap.emplace_back(s[static_cast<size_t>(k)].rank, static_cast<uint32_t>(k));
    std::push_heap(heap.begin(), heap.end(), later);
  };
  while (!heap.empty()) {
    auto [rank, k] = heap.front();
    std::pop_heap(heap.begin(), heap.end(), later);
    heap.pop_back();
    auto& a = s[k];
    if (a.rank != rank) continue;  // the pair has changed since, or its left half is gone
    auto& b = s[static_cast<size_t>(a.next)];
    a.id = a.joined;
    a.end = b.end;
    a.next = b.next;
    b.rank = PairTable::kNever;
    b.begin = b.end = 0;
    b.previous = -2;  // gone
    if (a.next >= 0) s[static_cast<size_t>(a.next)].previous = static_cast<int32_t>(k);
    if (a.previous >= 0) offer(a.previous);
    offer(static_cast<int32_t>(k));
  }
  std::erase_if(s, [](auto& x) { return x.previous == -2; });
}

void Bpe::emit_late(std::string_view text, int32_t id, const BpeScratch& scratch, bool& after_unknown,
                    std::vector<int32_t>& out) const {
  auto halves = unused.contains(id) ? scratch.halves.find(id) : scratch.halves.end();
  if (halves != scratch.halves.end()) {
    auto& h = halves->second;
    emit_late(text.substr(0, h.left_bytes), h.left, scratch, after_unknown, out);
    emit_late(text.substr(h.left_bytes), h.right, scratch, after_unknown, out);
  } else if (id >= 0 && id < tokens) {
    out.push_back(id);
    after_unknown = false;
  } else if (byte_fallback) {
    for (unsigned char c : text) out.push_back(byte_token[c]);
    after_unknown = false;
  } else {
    if (!after_unknown) out.push_back(unknown);
    after_unknown = true;
  }
}

PairTable::Join Bpe::look_up(const BpeSymbol& a, const BpeSymbol& b, BpeScratch& scratch) const {
  if (a.id < 0 || b.id < 0) return kNoJoin;
  auto join = pairs.find(a.id, b.id);
  if (!unused.empty() && unused.contains(join.symbol))
    scratch.halves[join.symbol] = {a.id, b.id, a.end - a.begin};
  return join;
}

void Bpe::encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const {
  if (piece.size() > INT32_MAX)
    fail("a piece of text of {} bytes is too long for the tokenizer", piece.size());
  if (!whole_pieces.empty()) {
    auto whole = whole_pieces.find(std::string(piece));
    if (whole != whole_pieces.end()) return out.push_back(whole->second);
  }
  first_symbols(piece, scratch.symbols);
  scratch.halves.clear();
  join(scratch);
  bool after_unknown = false;
  for (auto& s : scratch.symbols) {
    if (unknown_after_joining) {
      emit_late(piece.substr(s.begin, s.end - s.begin), s.id, scratch, after_unknown, out);
    } else {
      out.push_back(s.id);
    }
  }
}

}  // namespace longspan
