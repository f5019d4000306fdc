#include "generate/eviction.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "base/error.h"
#include "base/text.h"
#include "base/token_count.h"
#include "generate/attention_weights.h"
#include "generate/engine.h"
#include "generate/sequence.h"

namespace longspan {

namespace {

constexpr int64_t kDefaultKeep = 2048;
// The paper's 7 keeps three tokens on each side of one that is looked at: of a number that is split into its
// digits only the half (bench/results/2026-11-29-eviction.md).
constexpr int64_t kDefaultPool = 31;

/// The largest of x[i - radius .. i + radius].
std::vector<float> pooled(std::span<const float> x, int64_t radius) {
  std::vector<float> out(x.size());
  int64_t n = std::ssize(x);
  for (int64_t i = 0; i < n; ++i) {
    auto first = x.begin() + std::max<int64_t>(0, i - radius), last = x.begin() + std::min(n, i + radius + 1);
    out[static_cast<size_t>(i)] = *std::max_element(first, last);
  }
  return out;
}

}  // namespace

Eviction parse_eviction(std::string_view text) {
  constexpr std::string_view kName = "snapkv";
  auto wrong = [&] {
    fail(
        "eviction {}: expected off, snapkv, or snapkv:keep=N,window=W,pool=P with keep > window > 0 and an "
        "odd pool",
        in_quotes(text));
  };
  if (text == "off") return {};
  Eviction eviction{.keep = kDefaultKeep, .pool = kDefaultPool};
  if (!text.starts_with(kName)) wrong();
  std::string_view rest = text.substr(kName.size());
  if (!rest.empty() && (rest[0] != ':' || rest.size() == 1)) wrong();
  while (!rest.empty()) {
    rest.remove_prefix(1);
    size_t comma = std::min(rest.find(','), rest.size()), equals = rest.find('=');
    if (equals >= comma) wrong();
    std::string_view key = rest.substr(0, equals);
    std::optional<int64_t> value = parse_token_count(rest.substr(equals + 1, comma - equals - 1));
    int64_t* field = key == "keep"     ? &eviction.keep
                     : key == "window" ? &eviction.window
                     : key == "pool"   ? &eviction.pool
                                       : nullptr;
    if (!field || !value) wrong();
    *field = *value;
    rest.remove_prefix(comma);
  }
  if (eviction.window < 1 || eviction.keep <= eviction.window || eviction.pool % 2 == 0) wrong();
  return eviction;
}

int64_t tokens_that_stay(const PositionSpec& spec, int64_t window) {
  return std::max(window, spec.zones.empty() ? 0 : spec.zones.back().from);
}

std::string eviction_obstacle(const ModelConfig& config, const PositionConfig& position,
                              const Eviction& eviction) {
  PositionSpec spec = position_spec(position, config.head_shape(), 1);
  const char* way = "leave --evict out, or use rope, linear, ntk or yarn";
  if (!spec.decay.empty() || !spec.slopes.empty() || spec.chunk > 0)
    return fmt::format("--evict: under {} attention depends on true distances; {}", describe(position), way);
  if (keys_depend_on_history(position))
    return fmt::format("--evict: under {} keys depend on the text's length at the time; {}",
                       describe(position), way);
  if (config.sliding_window > 0)
    return fmt::format("--evict: layers of this model see a window of {} tokens only; leave it out",
                       config.sliding_window);
  if (int64_t stay = tokens_that_stay(spec, eviction.window); eviction.keep <= stay)
    return fmt::format("--evict: under {} the last {} tokens stay, more than keep={}; ask for keep={}",
                       describe(position), stay, eviction.keep, 2 * stay);
  return {};
}

std::vector<int32_t> tokens_to_keep(std::span<const float> scores, const Eviction& eviction, int64_t stay) {
  int64_t others = std::ssize(scores), chosen = std::min(others, eviction.keep - stay);
  assert(chosen >= 0);
  const std::vector<float> score = pooled(scores, eviction.pool / 2);
  std::vector<int32_t> kept(scores.size());
  std::iota(kept.begin(), kept.end(), 0);
  auto better = [&](int32_t a, int32_t b) {
    float x = score[static_cast<size_t>(a)], y = score[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  if (chosen < others) std::nth_element(kept.begin(), kept.begin() + chosen, kept.end(), better);
  kept.resize(static_cast<size_t>(chosen));
  std::sort(kept.begin(), kept.end());
  for (int64_t i = 0; i < stay; ++i) kept.push_back(static_cast<int32_t>(others + i));
  return kept;
}

int64_t reusable_before_eviction(int64_t n, const Eviction& eviction) {
  return std::max<int64_t>(0, n - (eviction.keep > 0 ? eviction.window : 1));
}

bool feed_and_evict(Sequence& sequence, std::span<const int32_t> rest, const Progress& progress) {
  const Engine& engine = sequence.engine();
  const ModelConfig& config = engine.config();
  const Eviction& eviction = engine.options().eviction;
  int64_t held = std::ssize(sequence.ids()), n = held + std::ssize(rest);
  if (eviction.keep == 0 || n <= eviction.keep) return sequence.feed(rest, progress);
  if (std::string obstacle = eviction_obstacle(config, sequence.position(), eviction); !obstacle.empty())
    fail("{}", obstacle);
  int64_t window = std::min(eviction.window, std::ssize(rest)), before = std::ssize(rest) - window;
  if (before > 0 && !sequence.feed(rest.first(static_cast<size_t>(before)), progress)) return false;
  int64_t heads = config.num_key_value_heads;
  int64_t stay = tokens_that_stay(sequence.spec(), window);
  auto others = static_cast<size_t>(n - stay);
  std::vector<std::vector<float>> scores(static_cast<size_t>(config.num_hidden_layers * heads),
                                         std::vector<float>(others));
  Device& device = *engine.model().device;
  auto observe = [&](int64_t layer, std::span<const AttentionZone> zones, const AttentionShape& shape) {
    int64_t group = shape.heads / heads;
    for_attention_weights(device, zones, shape, [&](int64_t, int64_t head, std::span<const float> weights) {
      std::vector<float>& own = scores[static_cast<size_t>(layer * heads + head / group)];
      for (size_t i = 0; i < others; ++i) own[i] += weights[i];
    });
  };
  auto rest_progress = [&](int64_t done, int64_t) {
    return !progress || progress(before + done, std::ssize(rest));
  };
  if (!sequence.feed(rest.last(static_cast<size_t>(window)), rest_progress, observe)) return false;
  std::vector<std::vector<int32_t>> kept;
  for (const std::vector<float>& one : scores) kept.push_back(tokens_to_keep(one, eviction, stay));
  sequence.evict(kept);
  return true;
}

}  // namespace longspan
