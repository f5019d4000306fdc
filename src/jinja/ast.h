// The syntax tree of a template. One plain struct for expressions and one for statements; `kind` says which
// fields count.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace longspan::jinja {

enum class ExprKind : uint8_t {
  kConstant,  // constant
  kCaptured,  // the text of the block that is being filtered
  kName,      // name
  kList,      // arguments
  kTuple,     // arguments
  kDict,      // arguments: key, value, key, value, ...
  kUnary,     // name: the operator
  kBinary,    // name: the operator
  kConcat,    // arguments
  kCompare,   // arguments: n + 1 operands; operators: n
  kAnd,
  kOr,
  kNot,
  kCondition,  // test, value if true[, value if false]
  kAttribute,  // name
  kItem,       // object, key
  kSlice,      // object, start, stop, step (each may be null)
  kCall,       // callee, positional...; named
  kFilter,     // name; subject, positional...; named
  kTest,       // name; subject, positional...; named
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  ExprKind kind;
  int line = 0;
  int depth = 1;  // of the tree below
  std::string name;
  Value constant;
  std::vector<ExprPtr> arguments;
  std::vector<std::pair<std::string, ExprPtr>> named;
  std::vector<std::string> operators;
};

enum class StmtKind : uint8_t {
  kText,      // name: the text
  kOutput,    // value
  kIf,        // conditions; bodies (one more when there is an else)
  kFor,       // target, value, condition (may be null); bodies: loop, else
  kSet,       // target, value
  kSetBlock,  // target, value (the filters over kCaptured, or null); bodies[0]
  kFilter,    // value; bodies[0]
  kMacro,     // name, parameters; bodies[0]
  kScope,     // {% generation %}, {% with %}: assignments; bodies[0]
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind;
  int line = 0;
  std::string name;
  ExprPtr target;
  ExprPtr value;
  ExprPtr condition;
  std::vector<ExprPtr> conditions;
  std::vector<std::pair<std::string, ExprPtr>> parameters;  // a null expression: no default
  std::vector<std::pair<ExprPtr, ExprPtr>> assignments;
  std::vector<std::vector<Stmt>> bodies;
};

using Block = std::vector<Stmt>;

enum class TokenKind : uint8_t {
  kText,
  kOutputBegin,
  kOutputEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  std::string text;
  int line;
};

/// Splits a template; white-space control is applied to the text tokens. `line` follows the reading, for
/// error sentences.
std::vector<Token> read_tokens(std::string_view text, int& line);
Block parse_template(std::string_view text, int& line);

}  // namespace longspan::jinja
