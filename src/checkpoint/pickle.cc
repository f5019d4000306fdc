#include "checkpoint/pickle.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/layout.h"

namespace longspan {

namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMostBytes = 16u << 20;  // ten thousand tensors take about 3 MiB
constexpr size_t kMostValues =
    1u << 20;  // a tensor takes a dozen; each costs 56 bytes here and at least one in the file
constexpr std::string_view kDictionary = "collections.OrderedDict";

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, std::span<const std::string_view> allowed,
          const std::string& file)
      : bytes_(bytes), allowed_(allowed), file_(file) {}

  Pickle run() {
    while (step()) {
    }
    if (stack_.size() != 1) damaged();
    return {std::move(values_), stack_[0]};
  }

 private:
  [[noreturn]] void damaged() const {
    fail("{}: its pickle is damaged at byte {}; download it again", file_, at_);
  }

  std::string_view take(size_t n) {
    if (n > bytes_.size() - at_) damaged();
    at_ += n;
    return {reinterpret_cast<const char*>(bytes_.data()) + at_ - n, n};
  }

  /// A little-endian number of n <= 8 bytes; the caller's `extend_sign` as in two's complement.
  int64_t number(size_t n, bool extend_sign = false) {
    uint64_t value = 0;
    std::memcpy(&value, take(n).data(), n);
    if (extend_sign && n > 0 && n < 8 && (value >> (8 * n - 1) & 1)) value |= ~uint64_t{0} << 8 * n;
    return static_cast<int64_t>(value);
  }

  std::string_view line() {
    std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, bytes_.size() - at_);
    size_t end = rest.find('\n');
    if (end == std::string_view::npos) damaged();
    at_ += end + 1;
    return rest.substr(0, end);
  }

  void push(PickleValue value) {
    if (values_.size() >= kMostValues)
      fail("{}: its pickle makes more than {} values, more than any dictionary of tensors", file_,
           kMostValues);
    stack_.push_back(static_cast<uint32_t>(values_.size()));
    values_.push_back(std::move(value));
  }
  void push(Kind kind, std::vector<uint32_t> items = {}) { push({kind, 0, {}, std::move(items)}); }
  void push_number(int64_t n) { push({Kind::Number, n, {}, {}}); }

  uint32_t pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) damaged();
    uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }

  PickleValue& top(Kind kind) {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()) || values_[stack_.back()].kind != kind)
      damaged();
    return values_[stack_.back()];
  }

  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) damaged();
    std::vector<uint32_t> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  std::vector<uint32_t> pop_last(size_t n) {
    std::vector<uint32_t> items(n);
    while (n-- > 0) items[n] = pop();
    return items;
  }

  void append(Kind kind, const std::vector<uint32_t>& items) {
    if (kind == Kind::Dict && items.size() % 2 != 0) damaged();
    std::vector<uint32_t>& to = top(kind).items;
    to.insert(to.end(), items.begin(), items.end());
  }

  /// The memo is indexed by consecutive numbers, so a list is enough.
  void remember(size_t number) {
    if (stack_.empty() || number > memo_.size()) damaged();
    if (number == memo_.size()) memo_.push_back(0);
    memo_[number] = stack_.back();
  }
  void recall(size_t number) {
    if (number >= memo_.size()) damaged();
    stack_.push_back(memo_[number]);
  }

  void global() {
    std::string_view module = line(), name = line();
    std::string wanted = std::string(module) + "." + std::string(name);
    auto known = std::find(allowed_.begin(), allowed_.end(), wanted);
    if (known == allowed_.end())
      fail("{}: its pickle asks for {}, which a dictionary of tensors does not need; nothing was run", file_,
           in_quotes(wanted));
    push({Kind::Global, 0, *known, {}});
  }

  void reduce() {
    uint32_t arguments = pop(), callee = pop();
    if (values_[callee].kind != Kind::Global || values_[arguments].kind != Kind::Tuple) damaged();
    if (values_[callee].text != kDictionary) return push(Kind::Call, {callee, arguments});
    if (!values_[arguments].items.empty()) damaged();
    push(Kind::Dict);
  }

  void persistent() {
    uint32_t name = pop();
    if (values_[name].kind != Kind::Tuple) damaged();
    push(Kind::Persistent, {name});
  }

  /// Attributes of a dictionary (versions of modules) are ignored.
  void build() {
    pop();
    top(Kind::Dict);
  }

  bool step();
  [[noreturn]] void refuse(int opcode) const {
    fail("{}: its pickle uses the opcode 0x{:02x} at byte {}, which a dictionary of tensors does not need",
         file_, opcode, at_ - 1);
  }

  std::span<const std::byte> bytes_;
  std::span<const std::string_view> allowed_;
  const std::string& file_;
  size_t at_ = 0;
  std::vector<PickleValue> values_;
  std::vector<uint32_t> stack_, memo_;
  std::vector<size_t> marks_;  // heights of the stack
};

/// One opcode; false when it was the last.
bool Machine::step() {
  auto opcode = static_cast<unsigned char>(take(1)[0]);
  switch (opcode) {
    case 0x80:  // PROTO
      if (int64_t protocol = number(1); protocol != 2)
        fail("{}: is a pickle of protocol {}; torch.save writes 2 unless told otherwise", file_, protocol);
      break;
    case '.':  // STOP
      return false;
    case '(':  // MARK
      marks_.push_back(stack_.size());
      break;
    case 'N':  // NONE
      push(Kind::None);
      break;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      push_number(opcode == 0x88);
      break;
    case 'K':  // BININT1
      push_number(number(1));
      break;
    case 'M':  // BININT2
      push_number(number(2));
      break;
    case 'J':  // BININT
      push_number(number(4, true));
      break;
    case 0x8a: {  // LONG1
      auto n = static_cast<size_t>(number(1));
      if (n > 8) damaged();
      push_number(number(n, true));
      break;
    }
    case 'G':  // BINFLOAT: tensors do not contain one, but other entries beside them may
      take(8);
      push(Kind::None);
      break;
    case 'X':  // BINUNICODE
      push({Kind::Text, 0, take(static_cast<size_t>(number(4))), {}});
      break;
    case ')':  // EMPTY_TUPLE
      push(Kind::Tuple);
      break;
    case 't':  // TUPLE
      push(Kind::Tuple, pop_to_mark());
      break;
    case 0x85:  // TUPLE1
    case 0x86:  // TUPLE2
    case 0x87:  // TUPLE3
      push(Kind::Tuple, pop_last(opcode - 0x84));
      break;
    case ']':  // EMPTY_LIST
      push(Kind::List);
      break;
    case 'a':  // APPEND
      append(Kind::List, pop_last(1));
      break;
    case 'e':  // APPENDS
      append(Kind::List, pop_to_mark());
      break;
    case '}':  // EMPTY_DICT
      push(Kind::Dict);
      break;
    case 's':  // SETITEM
      append(Kind::Dict, pop_last(2));
      break;
    case 'u':  // SETITEMS
      append(Kind::Dict, pop_to_mark());
      break;
    case 'q':  // BINPUT
      remember(static_cast<size_t>(number(1)));
      break;
    case 'r':  // LONG_BINPUT
      remember(static_cast<size_t>(number(4)));
      break;
    case 'h':  // BINGET
      recall(static_cast<size_t>(number(1)));
      break;
    case 'j':  // LONG_BINGET
      recall(static_cast<size_t>(number(4)));
      break;
    case 'c':
      global();
      break;
    case 'R':
      reduce();
      break;
    case 'Q':  // BINPERSID
      persistent();
      break;
    case 'b':
      build();
      break;
    default:
      refuse(opcode);
  }
  return true;
}

}  // namespace

Pickle read_pickle(std::span<const std::byte> bytes, std::span<const std::string_view> allowed,
                   const std::string& file) {
  if (bytes.size() > kMostBytes)
    fail("{}: its pickle has {} bytes; one that describes tensors has at most {}", file, bytes.size(),
         kMostBytes);
  return Machine(bytes, allowed, file).run();
}

}  // namespace longspan
