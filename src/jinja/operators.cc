// Python's arithmetic on the template's values, and "..." % (...).
#include <cmath>

#include "jinja/text.h"
#include "jinja/value.h"

namespace longspan::jinja {
namespace {

[[noreturn]] void overflow() { problem("a number grows beyond 64 bits"); }

int64_t floor_divide(int64_t a, int64_t b) {
  if (a == INT64_MIN && b == -1) overflow();
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (true) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent == 0) return result;
    if (__builtin_mul_overflow(base, base, &base)) overflow();
  }
}

Value integer_operation(const std::string& op, int64_t a, int64_t b) {
  int64_t out = 0;
  if (op == "+") return __builtin_add_overflow(a, b, &out) ? (overflow(), none()) : integer(out);
  if (op == "-") return __builtin_sub_overflow(a, b, &out) ? (overflow(), none()) : integer(out);
  if (op == "*") return __builtin_mul_overflow(a, b, &out) ? (overflow(), none()) : integer(out);
  if (op == "**") {
    if (b >= 0) return integer(power(a, b));
    if (a == 0) problem("0 to a negative power");
    return real(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
  if (b == 0) problem("division by zero");
  if (op == "/") return real(static_cast<double>(a) / static_cast<double>(b));
  if (op == "//") return integer(floor_divide(a, b));
  if (b == -1) return integer(0);
  return integer(a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0));
}

Value real_operation(const std::string& op, double a, double b) {
  if (op == "+") return real(a + b);
  if (op == "-") return real(a - b);
  if (op == "*") return real(a * b);
  if (op == "**") {
    double out = std::pow(a, b);
    if (a < 0 && std::isnan(out)) problem("a power that is no real number");
    if (std::isinf(out) && !std::isinf(a) && !std::isinf(b))
      problem("{}", a == 0 ? "0 to a negative power" : "a number grows beyond a float");
    return real(out);
  }
  if (b == 0) problem("division by zero");
  if (op == "/") return real(a / b);
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) {
    rest += b;
    quotient -= 1;
  }
  if (op == "%") return real(rest == 0 ? std::copysign(0.0, b) : rest);
  double whole = std::floor(quotient);
  return real(quotient - whole > 0.5 ? whole + 1 : whole);
}

Value add_sequences(Heap& heap, const Value& a, const Value& b) {
  std::vector<Value> out = a.sequence->items;
  out.insert(out.end(), b.sequence->items.begin(), b.sequence->items.end());
  return heap.sequence(a.kind, std::move(out));
}

Value repeat(Heap& heap, const Value& value, int64_t times) {
  if (times < 0) times = 0;
  if (value.is(Kind::kString)) {
    size_t size = value.text().size();
    if (size > 0 && static_cast<size_t>(times) > heap.max_text() / size)
      heap.charge_text(heap.max_text() + 1);
    if (size == 0) times = 0;
    std::string out;
    for (int64_t i = 0; i < times; ++i) out += value.text();
    return heap.text(std::move(out), value.escaped);
  }
  int64_t total = 0;
  if (__builtin_mul_overflow(times, static_cast<int64_t>(value.sequence->items.size()), &total)) overflow();
  heap.charge(total);
  std::vector<Value> out;
  const std::vector<Value> once = value.sequence->items;
  for (int64_t i = 0; total > 0 && i < times; ++i) out.insert(out.end(), once.begin(), once.end());
  return heap.sequence(value.kind, std::move(out));
}

bool repeatable(const Value& value) {
  return value.is(Kind::kString) || value.is(Kind::kList) || value.is(Kind::kTuple);
}

struct Format {
  bool left = false, zero = false, plus = false, blank = false;
  int width = 0;
  int precision = -1;
  char letter = 0;
};

int read_number(const std::string& format, size_t& i) {
  int value = 0;
  while (i < format.size() && format[i] >= '0' && format[i] <= '9') {
    value = value * 10 + (format[i++] - '0');
    if (value > 10000) problem("a width or precision of more than 10000 in a format");
  }
  return value;
}

Format read_format(const std::string& format, size_t& i) {
  Format out;
  for (; i < format.size(); ++i) {
    if (format[i] == '-') {
      out.left = true;
    } else if (format[i] == '0') {
      out.zero = true;
    } else if (format[i] == '+') {
      out.plus = true;
    } else if (format[i] == ' ') {
      out.blank = true;
    } else {
      break;
    }
  }
  out.width = read_number(format, i);
  if (i < format.size() && format[i] == '.') out.precision = read_number(format, ++i);
  if (i >= format.size()) problem("the format '{}' ends inside a '%'", format);
  out.letter = format[i++];
  return out;
}

std::string format_one(Heap& heap, const Format& how, const Value& value) {
  std::string body;
  bool number = how.letter != 's' && how.letter != 'r';
  if (number && !is_number(value)) problem("'%{}' needs a number, not {}", how.letter, type_name(value));
  switch (how.letter) {
    case 's':
    case 'r': {
      body = how.letter == 's' ? to_text(heap, value) : repr(heap, value);
      if (how.precision >= 0) {
        std::vector<std::string_view> letters = characters(body);
        std::string cut;
        for (size_t i = 0; i < std::min(letters.size(), static_cast<size_t>(how.precision)); ++i)
          cut += letters[i];
        body = cut;
      }
      break;
    }
    case 'd':
    case 'i':
    case 'u':
      if (value.is(Kind::kFloat) && !(std::fabs(value.real) < 9e18)) overflow();
      if (how.precision >= 0) problem("a precision for '%{}' is not supported", how.letter);
      body = std::to_string(value.is(Kind::kFloat) ? static_cast<int64_t>(value.real) : integral(value));
      break;
    case 'f':
    case 'F':
    case 'e':
    case 'g': {
      int precision = how.precision < 0 ? 6 : how.precision;
      double real = as_real(value);
      body = how.letter == 'e'   ? fmt::format("{:.{}e}", real, precision)
             : how.letter == 'g' ? fmt::format("{:.{}g}", real, precision)
                                 : fmt::format("{:.{}f}", real, precision);
      break;
    }
    case 'x':
      if (!is_integral(value)) problem("'%x' needs an int, not {}", type_name(value));
      body = fmt::format("{:x}", integral(value));
      break;
    default:
      problem("the format '%{}' is not supported", how.letter);
  }
  if (number && body[0] != '-' && (how.plus || how.blank)) body.insert(0, how.plus ? "+" : " ");
  size_t size = code_points(body);
  size_t padding = size < static_cast<size_t>(how.width) ? static_cast<size_t>(how.width) - size : 0;
  if (how.left) return body + std::string(padding, ' ');
  if (how.zero && number) return body.insert(body.find_first_of("0123456789"), padding, '0');
  return std::string(padding, ' ') + body;
}

}  // namespace

Value unary(const std::string& op, const Value& a) {
  if (a.is(Kind::kUndefined)) problem("{}", a.text());
  if (!is_number(a)) problem("the sign '{}' before {}", op, type_name(a));
  if (a.is(Kind::kFloat)) return real(op == "-" ? -a.real : a.real);
  if (integral(a) == INT64_MIN) overflow();
  return integer(op == "-" ? -integral(a) : integral(a));
}

Value binary(Heap& heap, const std::string& op, const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) {
    if (is_integral(a) && is_integral(b)) return integer_operation(op, integral(a), integral(b));
    return real_operation(op, as_real(a), as_real(b));
  }
  if (a.is(Kind::kUndefined)) problem("{}", a.text());
  if (op == "%" && a.is(Kind::kString) && a.escaped) problem("'%' on escaped text is not supported");
  if (op == "%" && a.is(Kind::kString)) return percent_format(heap, a.text(), b);
  if (b.is(Kind::kUndefined)) problem("{}", b.text());
  if (op == "+" && a.kind == b.kind) {
    if (a.is(Kind::kString)) {
      heap.charge_text(a.text().size() + b.text().size());
      if (!a.escaped && !b.escaped) return heap.text(a.text() + b.text());
      auto safe = [](const Value& part) { return part.escaped ? part.text() : escape_html(part.text()); };
      return heap.text(safe(a) + safe(b), true);
    }
    if (a.is(Kind::kList) || a.is(Kind::kTuple)) return add_sequences(heap, a, b);
  }
  if (op == "*" && repeatable(a) && is_integral(b)) return repeat(heap, a, integral(b));
  if (op == "*" && repeatable(b) && is_integral(a)) return repeat(heap, b, integral(a));
  problem("'{}' between {} and {}", op, type_name(a), type_name(b));
}

Value percent_format(Heap& heap, const std::string& format, const Value& arguments) {
  std::vector<Value> values =
      arguments.is(Kind::kTuple) ? arguments.sequence->items : std::vector<Value>{arguments};
  size_t used = 0;
  std::string out;
  for (size_t i = 0; i < format.size();) {
    if (format[i] != '%') {
      out += format[i++];
      continue;
    }
    if (++i < format.size() && format[i] == '(') {
      size_t end = format.find(')', i);
      if (end == format.npos || !arguments.is(Kind::kDict))
        problem("'%(name)' in a format needs a dict and a ')'");
      const Value* found = arguments.dict->find_text(std::string_view(format).substr(i + 1, end - i - 1));
      if (!found) problem("a name of the format '{}' is not in its dict", format);
      i = end + 1;
      out += format_one(heap, read_format(format, i), *found);
      continue;
    }
    Format how = read_format(format, i);
    if (how.letter == '%') {
      out += '%';
      continue;
    }
    if (used >= values.size()) problem("the format '{}' needs more than {} values", format, values.size());
    out += format_one(heap, how, values[used++]);
    heap.charge_text(out.size());
  }
  if (used < values.size() && !arguments.is(Kind::kDict))
    problem("the format '{}' does not use all its values", format);
  return heap.text(std::move(out));
}

}  // namespace longspan::jinja
