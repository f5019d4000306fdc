// Tokens -> syntax tree, by recursive descent in the precedence of Jinja's documentation: if-else, or, and,
// not, comparison,
// + -, ~, * / // %, **, sign; then attributes and calls, then filters and tests. Surprising but Jinja's: **
// groups to the left, and a filter binds to the signed value: -1|abs is 1.
#include <algorithm>
#include <charconv>

#include "jinja/ast.h"

namespace longspan::jinja {
namespace {

constexpr int kMaxNesting = 60;     // brackets and blocks inside each other
constexpr int kMaxTreeDepth = 150;  // also counts chains: a + b + c, a.b.c, a|f|g

class Parser {
 public:
  Parser(std::vector<Token> tokens, int& line) : tokens_(std::move(tokens)), line_(line) {}

  Block run() {
    Block block = parse_block({});
    return block;
  }

 private:
  struct Nesting {
    explicit Nesting(int& level) : level_(level) {
      if (++level_ > kMaxNesting) problem("more than {} levels of nesting", kMaxNesting);
    }
    ~Nesting() { --level_; }
    int& level_;
  };

  // --- tokens

  const Token& peek() const { return tokens_[at_]; }
  const Token& peek_next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next() {
    line_ = peek().line;
    return peek().kind == TokenKind::kEnd ? peek() : tokens_[at_++];
  }
  bool at(TokenKind kind, std::string_view text) const { return peek().kind == kind && peek().text == text; }
  bool at_op(std::string_view text) const { return at(TokenKind::kOperator, text); }
  bool at_word(std::string_view text) const { return at(TokenKind::kName, text); }
  bool skip_op(std::string_view text) { return at_op(text) && (next(), true); }
  bool skip_word(std::string_view text) { return at_word(text) && (next(), true); }

  [[noreturn]] void unexpected(std::string_view wanted) {
    line_ = peek().line;
    std::string_view found = peek().text;
    switch (peek().kind) {
      case TokenKind::kEnd:
        found = "the end of the template";
        break;
      case TokenKind::kText:
        found = "text";
        break;
      case TokenKind::kOutputBegin:
        found = "{{";
        break;
      case TokenKind::kBlockBegin:
        found = "{%";
        break;
      default:
        break;
    }
    problem("expected {} and found '{}'", wanted, found);
  }
  void expect_op(std::string_view text) {
    if (!skip_op(text)) unexpected(fmt::format("'{}'", text));
  }
  void expect_word(std::string_view text) {
    if (!skip_word(text)) unexpected(fmt::format("'{}'", text));
  }
  std::string expect_name(std::string_view what) {
    if (peek().kind != TokenKind::kName) unexpected(what);
    return next().text;
  }
  void expect_block_end() {
    if (peek().kind != TokenKind::kBlockEnd) unexpected("'%}'");
    next();
  }

  // --- expressions

  ExprPtr make(ExprKind kind, std::vector<ExprPtr> arguments = {}, std::string name = "") {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->line = line_;
    expr->name = std::move(name);
    expr->arguments = std::move(arguments);
    for (const ExprPtr& argument : expr->arguments) measure(*expr, argument);
    return expr;
  }
  static void measure(Expr& expr, const ExprPtr& child) {
    if (child) expr.depth = std::max(expr.depth, child->depth + 1);
    if (expr.depth > kMaxTreeDepth)
      problem("an expression with more than {} operations in a chain", kMaxTreeDepth);
  }
  static std::vector<ExprPtr> pack(ExprPtr a, ExprPtr b) {
    std::vector<ExprPtr> both;
    both.push_back(std::move(a));
    both.push_back(std::move(b));
    return both;
  }
  static std::vector<ExprPtr> pack(ExprPtr a) {
    std::vector<ExprPtr> one;
    one.push_back(std::move(a));
    return one;
  }
  ExprPtr constant(Value value) {
    ExprPtr expr = make(ExprKind::kConstant);
    expr->constant = std::move(value);
    return expr;
  }

  ExprPtr parse_expression(bool with_condition = true) {
    Nesting nesting(level_);
    ExprPtr expr = parse_or();
    while (with_condition && skip_word("if")) {
      std::vector<ExprPtr> parts = pack(parse_or(), std::move(expr));
      if (skip_word("else")) parts.push_back(parse_expression());
      expr = make(ExprKind::kCondition, std::move(parts));
    }
    return expr;
  }
  ExprPtr parse_or() {
    ExprPtr left = parse_and();
    while (skip_word("or")) left = make(ExprKind::kOr, pack(std::move(left), parse_and()));
    return left;
  }
  ExprPtr parse_and() {
    ExprPtr left = parse_not();
    while (skip_word("and")) left = make(ExprKind::kAnd, pack(std::move(left), parse_not()));
    return left;
  }
  ExprPtr parse_not() {
    if (!at_word("not")) return parse_comparison();
    Nesting nesting(level_);
    next();
    return make(ExprKind::kNot, pack(parse_not()));
  }

  std::string skip_comparison() {
    for (std::string_view op : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (skip_op(op)) return std::string(op);
    }
    if (skip_word("in")) return "in";
    if (at_word("not") && peek_next().kind == TokenKind::kName && peek_next().text == "in") {
      next();
      next();
      return "not in";
    }
    return "";
  }
  ExprPtr parse_comparison() {
    ExprPtr left = parse_sum();
    std::vector<ExprPtr> operands;
    std::vector<std::string> operators;
    for (std::string op; !(op = skip_comparison()).empty();) {
      operators.push_back(op);
      operands.push_back(parse_sum());
    }
    if (operators.empty()) return left;
    operands.insert(operands.begin(), std::move(left));
    ExprPtr expr = make(ExprKind::kCompare, std::move(operands));
    expr->operators = std::move(operators);
    return expr;
  }
  ExprPtr parse_binary(std::initializer_list<std::string_view> operators, ExprPtr (Parser::*operand)()) {
    ExprPtr left = (this->*operand)();
    for (bool found = true; found;) {
      found = false;
      for (std::string_view op : operators) {
        if (!skip_op(op)) continue;
        left = make(ExprKind::kBinary, pack(std::move(left), (this->*operand)()), std::string(op));
        found = true;
        break;
      }
    }
    return left;
  }
  ExprPtr parse_sum() { return parse_binary({"+", "-"}, &Parser::parse_concat); }
  ExprPtr parse_concat() {
    ExprPtr first = parse_product();
    if (!at_op("~")) return first;
    std::vector<ExprPtr> parts = pack(std::move(first));
    while (skip_op("~")) parts.push_back(parse_product());
    return make(ExprKind::kConcat, std::move(parts));
  }
  ExprPtr parse_product() { return parse_binary({"*", "/", "//", "%"}, &Parser::parse_power); }
  ExprPtr parse_power() { return parse_binary({"**"}, &Parser::parse_filtered); }
  ExprPtr parse_filtered() { return parse_filters(parse_signed()); }
  ExprPtr parse_signed() {
    if (!at_op("-") && !at_op("+")) return parse_postfix(parse_primary());
    Nesting nesting(level_);
    std::string op = next().text;
    return parse_postfix(make(ExprKind::kUnary, pack(parse_signed()), op));
  }

  static Value number(const Token& token) {
    if (token.kind == TokenKind::kFloat) {
      double value = 0;
      std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
      return real(value);
    }
    std::string_view digits = token.text;
    int base = 10;
    if (digits.size() > 1 && digits[0] == '0') {
      char letter = static_cast<char>(digits[1] | 0x20);
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
      if (base != 10) digits.remove_prefix(2);
      if (base == 10 && digits.find_first_not_of('0') != digits.npos)
        problem("the number {} starts with 0", token.text);
    }
    int64_t value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc() || end != digits.data() + digits.size()) {
      problem("{} is no number of at most 64 bits", token.text);
    }
    return integer(value);
  }

  ExprPtr parse_primary() {
    Token token = peek();
    switch (token.kind) {
      case TokenKind::kName:
        next();
        return parse_name(token.text);
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        next();
        return constant(number(token));
      case TokenKind::kString: {
        std::string text;
        while (peek().kind == TokenKind::kString) text += next().text;
        return constant(constant_text(std::move(text)));
      }
      default:
        break;
    }
    if (skip_op("(")) {
      ExprPtr inner = parse_tuple(true, true);
      expect_op(")");
      return inner;
    }
    if (skip_op("[")) return parse_list();
    if (skip_op("{")) return parse_dict();
    unexpected("an expression");
  }
  ExprPtr parse_name(const std::string& name) {
    if (name == "true" || name == "True") return constant(boolean(true));
    if (name == "false" || name == "False") return constant(boolean(false));
    if (name == "none" || name == "None") return constant(none());
    if (name == "self" || name == "super" ||
        (macros_ > 0 && (name == "varargs" || name == "kwargs" || name == "caller"))) {
      problem("the special name '{}' is not supported", name);
    }
    return make(ExprKind::kName, {}, name);
  }
  bool at_tuple_end() const {
    return peek().kind == TokenKind::kOutputEnd || peek().kind == TokenKind::kBlockEnd || at_op(")");
  }
  // One expression, or several with commas. `explicit_empty`: "()" may be an empty tuple.
  ExprPtr parse_tuple(bool with_condition, bool explicit_empty = false) {
    std::vector<ExprPtr> parts;
    bool comma = false;
    while (!at_tuple_end() && !(comma && at_word("in"))) {
      parts.push_back(parse_expression(with_condition));
      if (!skip_op(",")) {
        if (!comma) return std::move(parts[0]);
        break;
      }
      comma = true;
    }
    if (parts.empty() && !explicit_empty) unexpected("an expression");
    return make(ExprKind::kTuple, std::move(parts));
  }
  ExprPtr parse_list() {
    std::vector<ExprPtr> parts;
    while (!at_op("]")) {
      parts.push_back(parse_expression());
      if (!skip_op(",")) break;
    }
    expect_op("]");
    return make(ExprKind::kList, std::move(parts));
  }
  ExprPtr parse_dict() {
    std::vector<ExprPtr> parts;
    while (!at_op("}")) {
      parts.push_back(parse_expression());
      expect_op(":");
      parts.push_back(parse_expression());
      if (!skip_op(",")) break;
    }
    expect_op("}");
    return make(ExprKind::kDict, std::move(parts));
  }

  ExprPtr parse_postfix(ExprPtr expr) {
    while (true) {
      if (skip_op(".")) {
        if (peek().kind == TokenKind::kInteger) {
          ExprPtr key = constant(number(next()));
          expr = make(ExprKind::kItem, pack(std::move(expr), std::move(key)));
        } else {
          std::string name = expect_name("a name after '.'");
          expr = make(ExprKind::kAttribute, pack(std::move(expr)), name);
        }
      } else if (skip_op("[")) {
        expr = parse_subscript(std::move(expr));
      } else if (at_op("(")) {
        expr = parse_call(make(ExprKind::kCall, pack(std::move(expr))));
      } else {
        return expr;
      }
    }
  }
  ExprPtr parse_subscript(ExprPtr object) {
    std::vector<ExprPtr> parts = pack(std::move(object));
    ExprKind kind = ExprKind::kItem;
    parts.push_back(at_op(":") ? nullptr : parse_expression());
    while (at_op(":")) {
      next();
      kind = ExprKind::kSlice;
      parts.push_back(at_op(":") || at_op("]") ? nullptr : parse_expression());
    }
    if (parts.size() > 4) unexpected("']'");
    if (kind == ExprKind::kSlice) parts.resize(4);
    if (at_op(",")) problem("an index of several values is not supported");
    expect_op("]");
    return make(kind, std::move(parts));
  }
  // The arguments of a call, a filter or a test, into `expr`.
  ExprPtr parse_call(ExprPtr expr) {
    expect_op("(");
    while (!at_op(")")) {
      if (at_op("*") || at_op("**")) problem("unpacking arguments with '{}' is not supported", peek().text);
      if (peek().kind == TokenKind::kName && peek_next().kind == TokenKind::kOperator &&
          peek_next().text == "=") {
        std::string name = next().text;
        next();
        expr->named.emplace_back(name, parse_expression());
        measure(*expr, expr->named.back().second);
      } else {
        if (!expr->named.empty()) problem("a positional argument after a named one");
        expr->arguments.push_back(parse_expression());
        measure(*expr, expr->arguments.back());
      }
      if (!skip_op(",")) break;
    }
    expect_op(")");
    return expr;
  }
  std::string dotted_name(std::string_view what) {
    std::string name = expect_name(what);
    while (skip_op(".")) name += "." + expect_name("a name after '.'");
    return name;
  }
  ExprPtr parse_filter(ExprPtr subject) {
    std::string name = dotted_name("the name of a filter after '|'");
    if (!is_filter(name) && branches_ == 0) problem("the filter '{}' is not supported", name);
    ExprPtr expr = make(ExprKind::kFilter, pack(std::move(subject)), name);
    return at_op("(") ? parse_call(std::move(expr)) : std::move(expr);
  }
  ExprPtr parse_test(ExprPtr subject) {
    bool negated = skip_word("not");
    std::string name = dotted_name("the name of a test after 'is'");
    if (!is_test(name) && branches_ == 0) problem("the test '{}' is not supported", name);
    ExprPtr expr = make(ExprKind::kTest, pack(std::move(subject)), name);
    if (at_op("(")) {
      expr = parse_call(std::move(expr));
    } else if (at_test_argument()) {
      if (at_word("is")) problem("tests cannot be chained with 'is'");
      expr->arguments.push_back(parse_postfix(parse_primary()));
      measure(*expr, expr->arguments.back());
    }
    return negated ? make(ExprKind::kNot, pack(std::move(expr))) : std::move(expr);
  }
  bool at_test_argument() const {
    switch (peek().kind) {
      case TokenKind::kName:
        return !at_word("else") && !at_word("or") && !at_word("and");
      case TokenKind::kString:
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        return true;
      default:
        return at_op("[") || at_op("{");
    }
  }
  ExprPtr parse_filters(ExprPtr expr) {
    while (true) {
      if (skip_op("|")) {
        expr = parse_filter(std::move(expr));
      } else if (skip_word("is")) {
        expr = parse_test(std::move(expr));
      } else if (at_op("(")) {
        expr = parse_call(make(ExprKind::kCall, pack(std::move(expr))));
      } else {
        return expr;
      }
    }
  }

  // --- statements

  // Statements up to a tag whose name is in `ends`, which is left unread after its '{%'; without `ends`: up
  // to the end of the template.
  Block parse_block(std::initializer_list<std::string_view> ends) {
    Nesting nesting(level_);
    Block block;
    while (peek().kind != TokenKind::kEnd) {
      Token token = next();
      if (token.kind == TokenKind::kText) {
        block.push_back(statement(StmtKind::kText, token.text));
      } else if (token.kind == TokenKind::kOutputBegin) {
        Stmt stmt = statement(StmtKind::kOutput);
        stmt.value = parse_tuple(true);
        if (peek().kind != TokenKind::kOutputEnd) unexpected("'}}'");
        next();
        block.push_back(std::move(stmt));
      } else {
        if (peek().kind == TokenKind::kName && std::find(ends.begin(), ends.end(), peek().text) != ends.end())
          return block;
        parse_tag(block);
      }
    }
    if (ends.size() > 0) problem("the template ends and '{{% {} %}}' is missing", *(ends.end() - 1));
    return block;
  }

  Stmt statement(StmtKind kind, std::string name = "") {
    Stmt stmt;
    stmt.kind = kind;
    stmt.line = line_;
    stmt.name = std::move(name);
    return stmt;
  }

  void parse_tag(Block& block) {
    std::string tag = expect_name("the name of a tag after '{%'");
    if (tag == "if") {
      block.push_back(parse_if());
    } else if (tag == "for") {
      block.push_back(parse_for());
    } else if (tag == "set") {
      block.push_back(parse_set());
    } else if (tag == "macro") {
      block.push_back(parse_macro());
    } else if (tag == "generation") {
      block.push_back(parse_generation());
    } else if (tag == "with") {
      block.push_back(parse_with());
    } else if (tag == "filter") {
      Stmt stmt = statement(StmtKind::kFilter);
      stmt.value = parse_filters(parse_filter(make(ExprKind::kCaptured)));
      expect_block_end();
      stmt.bodies.push_back(parse_block({"endfilter"}));
      end_tag("endfilter");
      block.push_back(std::move(stmt));
    } else if (tag == "print") {
      Stmt stmt = statement(StmtKind::kOutput);
      stmt.value = parse_tuple(true);
      expect_block_end();
      block.push_back(std::move(stmt));
    } else if (tag == "break" || tag == "continue") {
      if (loops_ == 0) problem("'{}' outside of a loop", tag);
      block.push_back(statement(tag == "break" ? StmtKind::kBreak : StmtKind::kContinue));
      expect_block_end();
    } else {
      problem("the tag '{{% {} %}}' is not supported here", tag);
    }
  }
  void end_tag(std::string_view name) {
    expect_word(name);
    expect_block_end();
  }

  // As in Jinja, a filter that does not exist is an error at once, but inside an if only when it is reached.
  Stmt parse_if() {
    Stmt stmt = statement(StmtKind::kIf);
    ++branches_;
    while (true) {
      stmt.conditions.push_back(parse_tuple(false));
      expect_block_end();
      stmt.bodies.push_back(parse_block({"elif", "else", "endif"}));
      if (skip_word("elif")) continue;
      if (skip_word("else")) {
        expect_block_end();
        stmt.bodies.push_back(parse_block({"endif"}));
      }
      end_tag("endif");
      --branches_;
      return stmt;
    }
  }

  ExprPtr parse_target_name() {
    std::string name = expect_name("a name to assign to");
    for (std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
      if (name == reserved) problem("cannot assign to '{}'", name);
    }
    return make(ExprKind::kName, {}, name);
  }
  // a   or   a, b   or   (a, b), c
  ExprPtr parse_target() {
    Nesting nesting(level_);
    std::vector<ExprPtr> parts;
    bool comma = false;
    do {
      if (at_word("in") || at_op("=") || at_op(")")) break;
      if (skip_op("(")) {
        parts.push_back(parse_target());
        expect_op(")");
      } else {
        parts.push_back(parse_target_name());
      }
      comma = comma || at_op(",");
    } while (skip_op(","));
    if (parts.empty()) unexpected("a name to assign to");
    return comma ? make(ExprKind::kTuple, std::move(parts)) : std::move(parts[0]);
  }

  Stmt parse_for() {
    Stmt stmt = statement(StmtKind::kFor);
    stmt.target = parse_target();
    expect_word("in");
    stmt.value = parse_tuple(false);
    if (skip_word("if")) stmt.condition = parse_expression();
    if (at_word("recursive")) problem("'for ... recursive' is not supported");
    expect_block_end();
    ++loops_;
    stmt.bodies.push_back(parse_block({"else", "endfor"}));
    --loops_;
    if (skip_word("else")) {
      expect_block_end();
      stmt.bodies.push_back(parse_block({"endfor"}));
    }
    end_tag("endfor");
    return stmt;
  }

  Stmt parse_set() {
    Stmt stmt = statement(StmtKind::kSet);
    if (peek_next().kind == TokenKind::kOperator && peek_next().text == ".") {
      ExprPtr object = parse_target_name();
      next();
      std::string name = expect_name("a name after '.'");
      stmt.target = make(ExprKind::kAttribute, pack(std::move(object)), name);
    } else {
      stmt.target = parse_target();
    }
    if (skip_op("=")) {
      stmt.value = parse_tuple(true);
      expect_block_end();
      return stmt;
    }
    stmt.kind = StmtKind::kSetBlock;
    if (at_op("|")) stmt.value = parse_filters(make(ExprKind::kCaptured));
    expect_block_end();
    stmt.bodies.push_back(parse_block({"endset"}));
    end_tag("endset");
    return stmt;
  }

  Stmt parse_macro() {
    Stmt stmt = statement(StmtKind::kMacro, expect_name("the name of the macro"));
    expect_op("(");
    while (!at_op(")")) {
      std::string name = parse_target_name()->name;
      ExprPtr value = skip_op("=") ? parse_expression() : nullptr;
      if (!value && !stmt.parameters.empty() && stmt.parameters.back().second) {
        problem("a macro parameter without a default after one with a default");
      }
      stmt.parameters.emplace_back(name, std::move(value));
      if (!skip_op(",")) break;
    }
    expect_op(")");
    expect_block_end();
    stmt.bodies.push_back(parse_function_body("endmacro"));
    return stmt;
  }
  // break and continue inside a macro or a generation block cannot leave a loop outside of it.
  Block parse_function_body(std::string_view end, bool is_macro = true) {
    int loops = std::exchange(loops_, 0);
    macros_ += is_macro;
    Block body = parse_block({end});
    macros_ -= is_macro;
    loops_ = loops;
    end_tag(end);
    return body;
  }
  Stmt parse_generation() {
    Stmt stmt = statement(StmtKind::kScope);
    expect_block_end();
    stmt.bodies.push_back(parse_function_body("endgeneration", false));
    return stmt;
  }
  Stmt parse_with() {
    Stmt stmt = statement(StmtKind::kScope);
    while (peek().kind != TokenKind::kBlockEnd) {
      if (!stmt.assignments.empty()) expect_op(",");
      ExprPtr target = parse_target_name();
      expect_op("=");
      stmt.assignments.emplace_back(std::move(target), parse_expression());
    }
    expect_block_end();
    stmt.bodies.push_back(parse_block({"endwith"}));
    end_tag("endwith");
    return stmt;
  }

  std::vector<Token> tokens_;
  int& line_;
  size_t at_ = 0;
  int level_ = 0;
  int loops_ = 0;
  int macros_ = 0;
  int branches_ = 0;
};

}  // namespace

Block parse_template(std::string_view text, int& line) { return Parser(read_tokens(text, line), line).run(); }

}  // namespace longspan::jinja
