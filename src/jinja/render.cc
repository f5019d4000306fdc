// Runs a parsed template: statements write to the output, expressions yield values. Scopes are Jinja's: for,
// macro, with and captured blocks open one, if does not.
#include "jinja/render.h"

#include "base/error.h"
#include "base/text.h"
#include "jinja/jinja.h"

namespace longspan {
namespace jinja {
namespace {

constexpr int kMaxRunDepth = 900;  // nested statements, expressions and macro calls: guards the stack

enum class Flow { kNext, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter(Heap& heap, int& line) : heap_(heap), line_(line), scope_(heap.scope(nullptr)) {}

  std::string run(const Block& program, const Json& variables) {
    for (const auto& [name, value] : variables.items())
      scope_->names.emplace_back(name, heap_.from_json(value));
    // What the template sets shadows its variables.
    scope_ = heap_.scope(scope_);
    execute(program);
    return std::move(out_);
  }

 private:
  struct Depth {
    explicit Depth(int& depth) : depth_(depth) {
      if (++depth_ > kMaxRunDepth) problem("calls and expressions nested more than {} deep", kMaxRunDepth);
    }
    ~Depth() { --depth_; }
    int& depth_;
  };
  // Inside, names are set in a scope of their own.
  struct InScope {
    InScope(Interpreter& self, Scope* parent) : self_(self), outer_(self.scope_) {
      self.scope_ = self.heap_.scope(parent);
    }
    ~InScope() { self_.scope_ = outer_; }
    Interpreter& self_;
    Scope* outer_;
  };

  void write(std::string_view text) {
    heap_.charge_text(out_.size() + text.size() > heap_.max_text() ? out_.size() + text.size() : text.size());
    out_ += text;
  }

  // --- names

  void set_name(const std::string& name, Value value) {
    for (auto& [known, old] : scope_->names) {
      if (known == name) {
        old = std::move(value);
        return;
      }
    }
    scope_->names.emplace_back(name, std::move(value));
  }

  Value find_name(const std::string& name) {
    for (const Scope* scope = scope_; scope; scope = scope->parent) {
      heap_.charge(1 + static_cast<int64_t>(scope->names.size() / 8));
      for (const auto& [known, value] : scope->names) {
        if (known == name) return value;
      }
    }
    if (is_function(name)) return function(name);
    return undefined(fmt::format("'{}' is undefined", name));
  }

  void assign(const Expr& target, const Value& value) {
    if (target.kind == ExprKind::kName) {
      set_name(target.name, value);
    } else if (target.kind == ExprKind::kAttribute) {
      Value object = find_name(target.arguments[0]->name);
      if (!object.is(Kind::kNamespace))
        problem("'{}' is no namespace, so it has no attribute to set", target.arguments[0]->name);
      if (target.name.starts_with('_')) problem("the name '{}' of an attribute starts with '_'", target.name);
      object.dict->set(constant_text(target.name), value);
    } else {
      std::vector<Value> parts = items(heap_, value);
      if (parts.size() != target.arguments.size()) {
        problem("{} values cannot be assigned to {} names", parts.size(), target.arguments.size());
      }
      for (size_t i = 0; i < parts.size(); ++i) assign(*target.arguments[i], parts[i]);
    }
  }

  // --- statements

  Flow execute(const Block& block) {
    Depth depth(depth_);
    for (const Stmt& stmt : block) {
      Flow flow = execute(stmt);
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Flow execute(const Stmt& stmt) {
    line_ = stmt.line;
    heap_.charge(1);
    switch (stmt.kind) {
      case StmtKind::kText:
        write(stmt.name);
        break;
      case StmtKind::kOutput:
        write(to_text(heap_, eval(*stmt.value)));
        break;
      case StmtKind::kIf:
        return execute_if(stmt);
      case StmtKind::kFor:
        execute_for(stmt);
        break;
      case StmtKind::kSet:
        assign(*stmt.target, eval(*stmt.value));
        break;
      case StmtKind::kSetBlock:
        assign(*stmt.target, captured_block(stmt));
        break;
      case StmtKind::kFilter:
        write(to_text(heap_, captured_block(stmt)));
        break;
      case StmtKind::kMacro:
        set_name(stmt.name, heap_.macro({&stmt, scope_}));
        break;
      case StmtKind::kScope:
        return execute_scope(stmt);
      case StmtKind::kBreak:
        return Flow::kBreak;
      case StmtKind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  Flow execute_if(const Stmt& stmt) {
    for (size_t i = 0; i < stmt.conditions.size(); ++i) {
      if (truthy(eval(*stmt.conditions[i]))) return execute(stmt.bodies[i]);
    }
    if (stmt.bodies.size() > stmt.conditions.size()) return execute(stmt.bodies.back());
    return Flow::kNext;
  }

  Flow execute_scope(const Stmt& stmt) {
    std::vector<Value> values;
    for (const auto& [target, value] : stmt.assignments) values.push_back(eval(*value));
    InScope scope(*this, scope_);
    for (size_t i = 0; i < values.size(); ++i) assign(*stmt.assignments[i].first, values[i]);
    return execute(stmt.bodies[0]);
  }

  // At least `count` items have passed the loop's filter.
  bool pull(Loop& loop, size_t count) {
    while (loop.passed.size() < count && loop.next_source < loop.source.size()) {
      const Value& candidate = loop.source[loop.next_source++];
      if (loop.statement->condition) {
        InScope scope(*this, loop.outer);
        assign(*loop.statement->target, candidate);
        if (!truthy(eval(*loop.statement->condition))) continue;
      }
      loop.passed.push_back(candidate);
    }
    return loop.passed.size() >= count;
  }

  void execute_for(const Stmt& stmt) {
    Loop state;
    state.statement = &stmt;
    state.outer = scope_;
    state.source = items(heap_, eval(*stmt.value));
    Value value = heap_.loop(std::move(state));
    Loop& loop = *value.loop;
    for (loop.index0 = 0; pull(loop, loop.index0 + 1); ++loop.index0) {
      InScope scope(*this, loop.outer);
      set_name("loop", value);
      assign(*stmt.target, loop.passed[loop.index0]);
      if (execute(stmt.bodies[0]) == Flow::kBreak) return;
    }
    if (loop.index0 == 0 && stmt.bodies.size() > 1) {
      InScope scope(*this, loop.outer);
      execute(stmt.bodies[1]);
    }
  }

  Value captured_block(const Stmt& stmt) {
    std::string outer = std::exchange(out_, "");
    {
      InScope scope(*this, scope_);
      execute(stmt.bodies[0]);
    }
    Value text = heap_.text(std::exchange(out_, std::move(outer)));
    if (!stmt.value) return text;
    captured_ = text;
    return eval(*stmt.value);
  }

  // --- expressions

  Value eval(const Expr& expr) {
    Depth depth(depth_);
    line_ = expr.line;
    heap_.charge(1);
    switch (expr.kind) {
      case ExprKind::kConstant:
        return expr.constant;
      case ExprKind::kCaptured:
        return captured_;
      case ExprKind::kName:
        return find_name(expr.name);
      case ExprKind::kList:
        return heap_.list(eval_all(expr, 0));
      case ExprKind::kTuple:
        return heap_.tuple(eval_all(expr, 0));
      case ExprKind::kDict:
        return eval_dict(expr);
      case ExprKind::kUnary:
        return unary(expr.name, eval(*expr.arguments[0]));
      case ExprKind::kBinary:
        return eval_binary(expr);
      case ExprKind::kConcat:
        return eval_concat(expr);
      case ExprKind::kCompare:
        return eval_comparison(expr);
      case ExprKind::kAnd:
      case ExprKind::kOr:
        return eval_and_or(expr);
      case ExprKind::kNot:
        return boolean(!truthy(eval(*expr.arguments[0])));
      case ExprKind::kCondition:
        return eval_condition(expr);
      case ExprKind::kAttribute:
        return eval_attribute(expr);
      case ExprKind::kItem:
        return eval_item(expr);
      case ExprKind::kSlice:
        return eval_slice(expr);
      case ExprKind::kCall:
        return eval_call(expr);
      case ExprKind::kFilter:
        return eval_filter(expr);
      case ExprKind::kTest:
        return eval_test(expr);
    }
    return none();
  }

  std::vector<Value> eval_all(const Expr& expr, size_t first) {
    std::vector<Value> out;
    for (size_t i = first; i < expr.arguments.size(); ++i) out.push_back(eval(*expr.arguments[i]));
    return out;
  }

  Arguments eval_arguments(const Expr& expr) {
    Arguments arguments{eval_all(expr, 1), {}};
    for (const auto& [name, value] : expr.named) arguments.named.emplace_back(name, eval(*value));
    line_ = expr.line;
    return arguments;
  }

  Value eval_dict(const Expr& expr) {
    Value out = heap_.dict();
    for (size_t i = 0; i < expr.arguments.size(); i += 2) {
      Value key = eval(*expr.arguments[i]);
      out.dict->set(key, eval(*expr.arguments[i + 1]));
    }
    return out;
  }

  Value eval_binary(const Expr& expr) {
    Value left = eval(*expr.arguments[0]);
    return binary(heap_, expr.name, left, eval(*expr.arguments[1]));
  }

  Value eval_concat(const Expr& expr) {
    std::string out;
    for (const ExprPtr& part : expr.arguments) {
      out += to_text(heap_, eval(*part));
      heap_.charge_text(out.size());
    }
    return heap_.text(std::move(out));
  }

  bool holds(const std::string& op, const Value& a, const Value& b) {
    if (op == "in") return contains(heap_, b, a);
    if (op == "not in") return !contains(heap_, b, a);
    if (op == "==") return equal(heap_, a, b);
    if (op == "!=") return !equal(heap_, a, b);
    bool is_nan = (a.is(Kind::kFloat) && a.real != a.real) || (b.is(Kind::kFloat) && b.real != b.real);
    int order = compare(heap_, a, b);
    if (is_nan) return false;
    return op == "<" ? order < 0 : op == "<=" ? order <= 0 : op == ">" ? order > 0 : order >= 0;
  }

  Value eval_comparison(const Expr& expr) {
    Value left = eval(*expr.arguments[0]);
    for (size_t i = 0; i < expr.operators.size(); ++i) {
      Value right = eval(*expr.arguments[i + 1]);
      if (!holds(expr.operators[i], left, right)) return boolean(false);
      left = right;
    }
    return boolean(true);
  }

  Value eval_and_or(const Expr& expr) {
    Value left = eval(*expr.arguments[0]);
    return truthy(left) == (expr.kind == ExprKind::kOr) ? left : eval(*expr.arguments[1]);
  }

  Value eval_condition(const Expr& expr) {
    if (truthy(eval(*expr.arguments[0]))) return eval(*expr.arguments[1]);
    if (expr.arguments.size() > 2) return eval(*expr.arguments[2]);
    return undefined("the inline if was false and has no else");
  }

  Value eval_attribute(const Expr& expr) {
    Value object = eval(*expr.arguments[0]);
    line_ = expr.line;
    return object.is(Kind::kLoop) ? loop_attribute(object, expr.name) : attribute(heap_, object, expr.name);
  }

  Value eval_item(const Expr& expr) {
    Value object = eval(*expr.arguments[0]);
    Value key = eval(*expr.arguments[1]);
    line_ = expr.line;
    if (object.is(Kind::kLoop) && key.is(Kind::kString)) return loop_attribute(object, key.text());
    return item(heap_, object, key);
  }

  Value eval_slice(const Expr& expr) {
    Value parts[4];
    for (size_t i = 0; i < 4; ++i) parts[i] = expr.arguments[i] ? eval(*expr.arguments[i]) : none();
    line_ = expr.line;
    return slice(heap_, parts[0], parts[1], parts[2], parts[3]);
  }

  Value eval_filter(const Expr& expr) {
    Value subject = eval(*expr.arguments[0]);
    Arguments arguments = eval_arguments(expr);
    return apply_filter(heap_, expr.name, subject, arguments);
  }

  Value eval_test(const Expr& expr) {
    Value subject = eval(*expr.arguments[0]);
    Arguments arguments = eval_arguments(expr);
    return boolean(apply_test(heap_, expr.name, subject, arguments));
  }

  Value loop_attribute(const Value& value, const std::string& name) {
    Loop& loop = *value.loop;
    auto number = [](size_t n) { return integer(static_cast<int64_t>(n)); };
    auto all = [&] {
      pull(loop, SIZE_MAX);
      return loop.passed.size();
    };
    size_t here = loop.index0;
    if (name == "index") return number(here + 1);
    if (name == "index0") return number(here);
    if (name == "first") return boolean(here == 0);
    if (name == "last") return boolean(!pull(loop, here + 2));
    if (name == "length") return number(all());
    if (name == "revindex") return number(all() - here);
    if (name == "revindex0") return number(all() - here - 1);
    if (name == "depth" || name == "depth0") return number(name == "depth");
    if (name == "previtem") return here > 0 ? loop.passed[here - 1] : undefined("there is no previous item");
    if (name == "nextitem")
      return pull(loop, here + 2) ? loop.passed[here + 1] : undefined("there is no next item");
    if (name == "cycle" || name == "changed") return heap_.method(value, name);
    return undefined(fmt::format("'loop' has no attribute '{}'", name));
  }

  Value call_loop_method(const Method& method, const Arguments& arguments) {
    Loop& loop = *method.self.loop;
    const std::vector<Value>& values = arguments.positional;
    if (!arguments.named.empty()) problem("loop.{}() takes no named arguments", method.name);
    if (method.name == "cycle") {
      if (values.empty()) problem("loop.cycle() needs an argument");
      return values[loop.index0 % values.size()];
    }
    bool same = loop.has_changed_value && equal(heap_, heap_.tuple(loop.last_changed), heap_.tuple(values));
    loop.has_changed_value = true;
    loop.last_changed = values;
    return boolean(!same);
  }

  Value eval_call(const Expr& expr) {
    Value callee = eval(*expr.arguments[0]);
    Arguments arguments = eval_arguments(expr);
    switch (callee.kind) {
      case Kind::kMacro:
        return call_macro(*callee.macro, arguments);
      case Kind::kFunction:
        return call_function(heap_, callee.text(), arguments);
      case Kind::kMethod:
        if (callee.method->self.is(Kind::kLoop)) return call_loop_method(*callee.method, arguments);
        return call_method(heap_, *callee.method, arguments);
      case Kind::kUndefined:
        problem("{}", callee.text());
      case Kind::kLoop:
        problem("recursive loops are not supported");
      default:
        problem("{} cannot be called", type_name(callee));
    }
  }

  Value call_macro(const Macro& macro, const Arguments& arguments) {
    Depth depth(depth_);
    const Stmt& stmt = *macro.statement;
    std::vector<std::string_view> names;
    for (const auto& parameter : stmt.parameters) names.push_back(parameter.first);
    std::vector<std::optional<Value>> given =
        bind_arguments(arguments, names, fmt::format("the macro '{}'", stmt.name));
    InScope scope(*this, macro.scope);
    for (size_t i = 0; i < names.size(); ++i) {
      const auto& [name, preset] = stmt.parameters[i];
      Value absent = undefined(fmt::format("the parameter '{}' was not given", name));
      set_name(name, given[i] ? *given[i] : preset ? eval(*preset) : absent);
    }
    std::string outer = std::exchange(out_, "");
    execute(stmt.bodies[0]);
    return heap_.text(std::exchange(out_, std::move(outer)));
  }

  Heap& heap_;
  int& line_;
  Scope* scope_;
  std::string out_;
  Value captured_;
  int depth_ = 0;
};

}  // namespace
}  // namespace jinja

struct Jinja::Program {
  jinja::Block block;
};

Jinja::Jinja(std::string_view text, std::string source) : source_(std::move(source)) {
  int line = 1;
  try {
    auto program = std::make_shared<Program>();
    program->block = jinja::parse_template(text, line);
    program_ = std::move(program);
  } catch (const jinja::Problem& problem) {
    fail("{}: the chat template cannot be read: line {}: {}", source_, line, excerpt(problem.what(), 300));
  }
}

std::string Jinja::render(const Json& variables, const JinjaOptions& options) const {
  int line = 1;
  try {
    jinja::Heap heap(options.max_steps, options.max_output, options.now);
    return jinja::Interpreter(heap, line).run(program_->block, variables);
  } catch (const jinja::Problem& problem) {
    fail("{}: the chat template failed: line {}: {}", source_, line, excerpt(problem.what(), 300));
  }
}

}  // namespace longspan
