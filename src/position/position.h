// THE table of context-extension methods. A method is a pure function (config, head shape, length) ->
// PositionSpec and one row that names it, cites its paper and says what it needs. Kernels see frequencies and
// zones, never names. Adding a method: write its function beside its siblings, add a row, add its formula to
// the test.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace longspan {

/// What a model's config or --position says, before any arithmetic. Numbers keep their published key names.
struct PositionConfig {
  std::string method = "rope";   // a row of the table
  double base = 10000.0;         // rope_theta
  int64_t trained_context = 0;   // window the model was trained for (original_max_position_embeddings)
  int64_t declared_context = 0;  // window that the model's config promises (max_position_embeddings); 0: none
  std::map<std::string, double> values;              // factor, beta_fast, ...: only keys that the row lists
  std::map<std::string, std::vector<double>> lists;  // rope_freqs, short_factor, long_factor: [r/2] each
  std::vector<std::string> assumed;  // defaults that were filled in, one sentence each, to be printed
};

struct HeadShape {
  int64_t head_dim = 0;    // D
  int64_t rotary_dim = 0;  // r <= D, even: dimensions that rotate
};

/// A range of distances r = query - key in [from, next zone's from) and the maps of both positions inside it:
/// p -> min((p mod m) / g + o, cap); m = 0 is no modulus, cap < 0 no cap.
struct PositionMap {
  double modulus = 0, divisor = 1, offset = 0, cap = -1;
};
struct Zone {
  int64_t from = 0;
  PositionMap query, key;
};

/// All that a method can say to the model.
struct PositionSpec {
  std::vector<double> inv_freq;    // [r/2] radians a token
  double attention_scale = 1.0;    // multiplies cos and sin
  bool depends_on_length = false;  // a different declared length gives another spec
  std::vector<Zone> zones{Zone{}};
};

struct PositionMethod {
  const char* name;
  const char* paper;                  // citation
  const char* needs;                  // "nothing", "training", "nothing (better with training)"
  const char* summary;                // one line for `longspan methods`
  std::vector<std::string> keys;      // accepted in NAME:key=value, besides base, original and length
  std::vector<std::string> required;  // of these, the ones that have no default
  std::vector<std::string> lists;  // needed in PositionConfig::lists: only a model's own config brings them
  PositionSpec (*spec)(const PositionConfig&, const HeadShape&, int64_t length);
};

std::span<const PositionMethod> position_methods();
/// Error lists the names there are.
const PositionMethod& position_method(std::string_view name);

/// The spec of a sequence whose declared length is `length` tokens (0: the trained window). Error when the
/// config's numbers make frequencies that are zero or infinite.
PositionSpec position_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);

/// Applies `NAME[:key=value,...]` of --position to a model's own config: base and trained window stay unless
/// given. Every method accepts base=, original= (the trained window) and length= (the window it is meant to
/// reach; where a method depends on the length this fixes it). Error names an unknown key, a bad number, a
/// missing factor.
PositionConfig parse_position(std::string_view text, const PositionConfig& model);

/// The canonical text of a config, which parse_position reads back:
/// "yarn:base=100000,beta_fast=32,factor=4,original=8192".
std::string describe(const PositionConfig& config);

/// Reads rope_theta / rope_scaling / rope_parameters of a Hugging Face config.json. Unknown or contradictory
/// keys are an Error that names them.
PositionConfig position_from_hf(const Json& config, const HeadShape& shape);

/// partial_rotary_factor of a config.json, 1 when it is silent: rotary size / head size.
double rotary_fraction_from_hf(const Json& config);

/// Reads ARCH.rope.* of GGUF metadata. `lists`: the tensors rope_freqs, rope_factors_short ("short_factor")
/// and rope_factors_long ("long_factor") where the file has them. Error names an unknown key or a bad value.
PositionConfig position_from_gguf(const Json& metadata, const std::string& arch, const HeadShape& shape,
                                  std::map<std::string, std::vector<double>> lists);

/// The window that the method reaches: length= where it was given, else the larger of what the config
/// declares and trained_context times factor.
int64_t extended_context(const PositionConfig& config);

}  // namespace longspan
