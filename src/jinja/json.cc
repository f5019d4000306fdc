// tojson as transformers sets it: Python's json.dumps, so ", " and ": ", no HTML escapes, keys in their
// order.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "jinja/text.h"
#include "jinja/value.h"

namespace longspan::jinja {
namespace {

class Writer {
 public:
  Writer(Heap& heap, const std::optional<std::string>& indent, bool ascii, bool sort_keys,
         std::string_view item_separator, std::string_view key_separator)
      : heap_(heap),
        indent_(indent),
        ascii_(ascii),
        sort_keys_(sort_keys),
        item_separator_(item_separator),
        key_separator_(key_separator) {}

  std::string run(const Value& value) {
    write(value, 0);
    return std::move(out_);
  }

 private:
  void write(const Value& value, int depth) {
    if (depth > 100) problem("tojson of a value nested more than 100 deep");
    heap_.charge(1);
    if (out_.size() > heap_.max_text()) heap_.charge_text(out_.size());
    switch (value.kind) {
      case Kind::kNone:
        out_ += "null";
        break;
      case Kind::kBool:
        out_ += value.boolean ? "true" : "false";
        break;
      case Kind::kInt:
        out_ += std::to_string(value.integer);
        break;
      case Kind::kFloat:
        out_ += number(value.real);
        break;
      case Kind::kString:
        write_text(value.text());
        break;
      case Kind::kList:
      case Kind::kTuple:
        write_list(value.sequence->items, depth);
        break;
      case Kind::kDict:
        write_dict(*value.dict, depth);
        break;
      case Kind::kUndefined:
        problem("tojson: {}", value.text());
      default:
        problem("tojson cannot write {}", type_name(value));
    }
  }

  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return real_repr(value);
  }

  void new_line(int depth) {
    if (!indent_) return;
    out_ += '\n';
    heap_.charge_text(indent_->size() * static_cast<size_t>(depth));
    for (int i = 0; i < depth; ++i) out_ += *indent_;
  }

  void write_list(const std::vector<Value>& items, int depth) {
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += item_separator_;
      new_line(depth + 1);
      write(items[i], depth + 1);
    }
    if (!items.empty()) new_line(depth);
    out_ += ']';
  }

  static std::string key_text(const Value& key) {
    switch (key.kind) {
      case Kind::kString:
        return key.text();
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return key.boolean ? "true" : "false";
      case Kind::kInt:
        return std::to_string(key.integer);
      case Kind::kFloat:
        return number(key.real);
      default:
        problem("tojson cannot write a key that is {}", type_name(key));
    }
  }

  void write_dict(const Dict& dict, int depth) {
    std::vector<std::pair<Value, Value>> entries = dict.entries;
    heap_.charge(static_cast<int64_t>(entries.size()));
    if (sort_keys_) {
      std::stable_sort(entries.begin(), entries.end(),
                       [&](const auto& a, const auto& b) { return compare(heap_, a.first, b.first) < 0; });
    }
    out_ += '{';
    bool first = true;
    for (const auto& [key, value] : entries) {
      if (!first) out_ += item_separator_;
      first = false;
      new_line(depth + 1);
      write_text(key_text(key));
      out_ += key_separator_;
      write(value, depth + 1);
    }
    if (!entries.empty()) new_line(depth);
    out_ += '}';
  }

  void write_unicode(char32_t c) {
    if (c >= 0x10000) {
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((static_cast<unsigned>(c) - 0x10000) >> 10),
                          0xdc00 + ((static_cast<unsigned>(c) - 0x10000) & 0x3ff));
    } else {
      out_ += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    }
  }

  void write_text(const std::string& text) {
    heap_.charge_text(text.size());
    static constexpr std::string_view kSpecial = "\"\\\n\r\t\b\f";
    static constexpr std::string_view kLetters = "\"\\nrtbf";
    out_ += '"';
    for (size_t i = 0; i < text.size();) {
      size_t start = i;
      char32_t c = next_code_point(text, i);
      size_t special = c < 0x80 ? kSpecial.find(static_cast<char>(c)) : kSpecial.npos;
      if (special != kSpecial.npos) {
        out_ += '\\';
        out_ += kLetters[special];
      } else if (c < 0x20 || (ascii_ && c >= 0x7f)) {
        write_unicode(c);
      } else {
        out_.append(text, start, i - start);
      }
    }
    out_ += '"';
  }

  Heap& heap_;
  const std::optional<std::string>& indent_;
  bool ascii_;
  bool sort_keys_;
  std::string_view item_separator_;
  std::string_view key_separator_;
  std::string out_;
};

}  // namespace

std::string to_json(Heap& heap, const Value& value, const std::optional<std::string>& indent, bool ascii,
                    bool sort_keys, std::string_view item_separator, std::string_view key_separator) {
  return Writer(heap, indent, ascii, sort_keys, item_separator, key_separator).run(value);
}

}  // namespace longspan::jinja
