#include "cli/window.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "cli/output.h"

namespace longspan::cli {

int64_t window_tokens(const ModelConfig& config, const Options& o) {
  if (o.context > 0) return o.context;
  int64_t window = extended_context(config.position);
  return window > 0 ? window : std::numeric_limits<int64_t>::max();
}

Around around(const Tokenizer& tokenizer) {
  return {std::ssize(tokenizer.prefix()), std::ssize(tokenizer.suffix())};
}

std::vector<int32_t> cut_ids(std::span<const int32_t> ids, int64_t keep, const std::string& side,
                             Around around) {
  if (keep >= std::ssize(ids)) return {ids.begin(), ids.end()};
  keep = std::max<int64_t>(keep - around.prefix - around.suffix, 0);
  int64_t head = side == "left" ? 0 : side == "right" ? keep : (keep + 1) / 2;
  std::vector<int32_t> kept(ids.begin(), ids.begin() + around.prefix + head);
  kept.insert(kept.end(), ids.end() - around.suffix - (keep - head), ids.end());
  return kept;
}

void refuse_length(const Engine& engine, const Options& o, int64_t tokens, int64_t answer) {
  // The smallest factor that covers the text: a larger one costs precision at short distances.
  auto trained = static_cast<double>(std::max<int64_t>(1, engine.config().position.trained_context));
  double factor = std::ceil(static_cast<double>(tokens) / trained * 10) / 10;
  PositionSpec spec = position_spec(engine.config().position, engine.config().head_shape(), tokens);
  fail(
      "the text is {} tokens{}, the window is {}, and {} tokens would need {} of cache; stretch the window "
      "with --position "
      "yarn:factor={:.1f}, cut the text with --truncate middle|left|right, or insist with --context {}",
      grouped(tokens - answer), answer > 0 ? fmt::format(" and {} for the answer", grouped(answer)) : "",
      grouped(window_tokens(engine.config(), o)), grouped(tokens),
      human_bytes(static_cast<double>(
          kv_bytes(engine.config(), engine.options().cache_types, tokens, key_copies(spec)))),
      factor, tokens);
}

void fit_ids(const Engine& engine, const Options& o, std::vector<int32_t>& ids, int64_t answer) {
  auto given = static_cast<int64_t>(ids.size());
  int64_t keep = window_tokens(engine.config(), o) - answer;
  if (given <= keep) return;
  Around fixed = around(engine.tokenizer());
  if (o.truncate.empty() || keep <= fixed.prefix + fixed.suffix)
    refuse_length(engine, o, given + answer, answer);
  ids = cut_ids(ids, keep, o.truncate, fixed);
  remark(o, "cut {} of {} tokens ({}) to fit the window of {}", grouped(given - keep), grouped(given),
         o.truncate, grouped(window_tokens(engine.config(), o)));
}

}  // namespace longspan::cli
