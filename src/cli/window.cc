#include "cli/window.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "cli/output.h"
#include "position/advice.h"

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

void stretch(Engine& engine, const Options& o, int64_t tokens) {
  if (o.context > 0) tokens = std::min(tokens, o.context);
  std::string spec = engine.stretch_to(tokens);
  if (spec.empty()) return;
  int64_t trained = engine.config().position.trained_context;
  remark(o, "--position {} for {} tokens{}", spec, grouped(tokens),
         tokens > kMostStretch * trained
             ? fmt::format(": beyond {} times the trained window no method was seen to hold without training",
                           kMostStretch)
             : "");
}

namespace {

/// "use --cache-type F16": of the smaller types the largest with which the run fits, or else the smallest; ""
/// where none is smaller.
std::string smaller_cache(const Engine& engine, const MemoryFit& fit) {
  constexpr int64_t kElements = 256;  // whole blocks of every type
  auto bytes = [](CacheTypes types) {
    return dtype_bytes(types.keys, kElements) + dtype_bytes(types.values, kElements);
  };
  const CacheTypes now = engine.options().cache_types;
  auto fits = [&](CacheTypes types) {
    return fit.needed - fit.kv_cache + fit.kv_cache / bytes(now) * bytes(types) <= *fit.available;
  };
  std::optional<CacheTypes> best;
  for (DType dtype : cache_dtypes()) {
    CacheTypes types{dtype, dtype};
    if (engine.config().head_dim % dtype_info(dtype).block_elements != 0 || bytes(types) >= bytes(now))
      continue;
    if (!best || (fits(*best) ? fits(types) && bytes(types) > bytes(*best) : bytes(types) < bytes(*best)))
      best = types;
  }
  return best ? fmt::format("use --cache-type {}", describe(*best)) : "";
}

}  // namespace

void check_memory(const Engine& engine, const MemoryUse& use,
                  const std::function<std::string(int64_t)>& ways) {
  MemoryFit fit = engine.memory_for(use);
  if (fit.fits()) return;
  std::string cache = smaller_cache(engine, fit);
  fail("{}; {}{}", describe(fit), ways(fit.longest), cache.empty() ? "" : ", or " + cache);
}

void check_memory(const Engine& engine, const MemoryUse& use) {
  check_memory(engine, use, [](int64_t longest) {
    return longest > 0 ? fmt::format("cut the text with --truncate middle|left|right --context {}", longest)
                       : std::string("use a smaller or a quantised model");
  });
}

namespace {

/// How a text of so many tokens could be read after all. Nothing is advised that no method holds.
std::string length_advice(const Engine& engine, const Options& o, int64_t tokens, const MemoryFit& fit) {
  const PositionConfig& position = engine.config().position;
  const std::string cut = "cut the text with --truncate middle|left|right";
  Options without = o;
  without.context = 0;
  if (o.context > 0 && tokens <= window_tokens(engine.config(), without))
    return fmt::format("give a larger --context ({}), or {}",
                       extended_context(position) > 0
                           ? "the model reaches " + grouped(extended_context(position))
                           : std::string("the model states no end of its window"),
                       cut);
  // The smallest factor that covers the text: a larger one costs precision at short distances.
  auto trained = static_cast<double>(std::max<int64_t>(1, position.trained_context));
  double factor = std::ceil(static_cast<double>(tokens) / trained * 10) / 10;
  if (factor > kMostStretch)
    return fmt::format(
        "that is {:.0f} times the trained window of {}, and beyond {} times no method holds without "
        "training: {}, give only the passages that matter, or train (longspan plan {} --to {})",
        static_cast<double>(tokens) / trained, grouped(position.trained_context), kMostStretch, cut,
        shell_word(o.model), tokens);
  if (!fit.fits()) return cut;
  return fmt::format("stretch the window with --position yarn:factor={:.1f}, {}, or insist with --context {}",
                     std::max(1.0, factor), cut, tokens);
}

std::string cache_text(const MemoryFit& fit) {
  std::string cache = fmt::format("{} tokens would need {} of cache", grouped(fit.use.tokens),
                                  human_bytes(static_cast<double>(fit.kv_cache)));
  if (fit.fits()) return cache;
  return fmt::format("{}, which does not fit: {} has {} free, enough for {} tokens", cache, fit.where,
                     human_bytes(static_cast<double>(*fit.available)), grouped(fit.longest));
}

}  // namespace

void refuse_length(const Engine& engine, const Options& o, int64_t tokens, int64_t answer) {
  MemoryFit fit = engine.memory_for({.tokens = tokens});
  fail("the text is {} tokens{}, the window is {}, and {}; {}", grouped(tokens - answer),
       answer > 0 ? fmt::format(" and {} for the answer", grouped(answer)) : "",
       grouped(window_tokens(engine.config(), o)), cache_text(fit), length_advice(engine, o, tokens, fit));
}

void fit_ids(Engine& engine, const Options& o, std::vector<int32_t>& ids, int64_t answer) {
  auto given = static_cast<int64_t>(ids.size());
  stretch(engine, o, given + answer);
  int64_t keep = window_tokens(engine.config(), o) - answer;
  if (given > keep) {
    Around fixed = around(engine.tokenizer());
    if (o.truncate.empty() || keep <= fixed.prefix + fixed.suffix)
      refuse_length(engine, o, given + answer, answer);
    ids = cut_ids(ids, keep, o.truncate, fixed);
    remark(o, "cut {} of {} tokens ({}) to fit the window of {}", grouped(given - keep), grouped(given),
           o.truncate, grouped(window_tokens(engine.config(), o)));
  }
  check_memory(engine, {.tokens = std::ssize(ids) + answer, .scored = answer == 0});
}

}  // namespace longspan::cli
