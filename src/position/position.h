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

/// The settings of a model's config or of --position, before any arithmetic. Numbers keep their published key
/// names.
struct PositionConfig {
  std::string method = "rope";   // a row of the table
  double base = 10000.0;         // rope_theta
  int64_t trained_context = 0;   // window the model was trained for (original_max_position_embeddings)
  int64_t declared_context = 0;  // window that the model's config promises (max_position_embeddings); 0: none
  std::map<std::string, double> values;              // factor, beta_fast, ...: only keys that the row lists
  std::map<std::string, std::vector<double>> lists;  // rope_freqs, short_factor, long_factor: [r/2] each
  std::vector<std::string> assumed;  // defaults that were filled in, one sentence each, to be printed
};

/// values["length"] of length=current: the length so far, updated at each step.
constexpr double kCurrentLength = 0;

struct HeadShape {
  int64_t head_dim = 0;    // D
  int64_t rotary_dim = 0;  // r <= D, even: dimensions that rotate
  int64_t heads = 0;       // H; only slopes need it
};

/// p -> min(floor?((p mod modulus) / divisor) + offset, cap); modulus 0 is no modulus, cap < 0 no cap.
struct PositionMap {
  double modulus = 0, divisor = 1, offset = 0, cap = -1;
  bool floor = false;

  bool operator==(const PositionMap&) const = default;
};
double apply(const PositionMap& map, double position);

/// A range of distances, from <= r < the next zone's from, and how it maps the two positions: a score turns
/// by the angle inv_freq[i] (query(m) - key(n)).
struct Zone {
  int64_t from = 0;  // the first zone's is 0
  PositionMap query, key;
  std::vector<double> inv_freq;  // [r/2] where the zone has frequencies of its own; empty: the spec's

  bool operator==(const Zone&) const = default;
};
constexpr size_t kMaxZones = 3;

/// Everything that a method tells the model.
struct PositionSpec {
  std::vector<double> inv_freq;     // [r/2] radians a token; 0: that pair of dimensions does not turn
  double attention_scale = 1.0;     // multiplies cos and sin
  bool depends_on_length = false;   // a different declared length gives another spec
  std::vector<Zone> zones{Zone{}};  // 1 to kMaxZones, from increasing
  int64_t chunk = 0;  // 0: zones count distance in tokens, m - n; c: in chunks, floor(m/c) - floor(n/c)
  std::vector<double>
      decay;  // [r/2] xPos: pair i of a score is multiplied by exp(decay[i] (m - n)), <= 0; or empty
  std::vector<double> slopes;  // [H] ALiBi: slopes[h] (m - n) is subtracted from the score; or empty
  int64_t log_n = 0;           // the query at m is multiplied by max(1, ln(m + 1) / ln(log_n)); 0: never

  bool operator==(const PositionSpec&) const = default;
};

/// One way in which queries or keys are rotated; zones share those that are equal.
struct Rotation {
  PositionMap map;
  std::vector<double> inv_freq;  // [r/2]

  bool operator==(const Rotation&) const = default;
};
/// The distinct rotations of a spec. The cache keeps one copy of the keys for each rotation of keys: this is
/// what zones cost in memory.
struct Rotations {
  std::vector<Rotation> queries, keys;
  std::vector<size_t> query_of, key_of;  // [zones] index into the lists above
};
Rotations rotations(const PositionSpec& spec);

struct PositionMethod {
  const char* name;
  const char* paper;                    // citation
  const char* needs;                    // "nothing", "training", "nothing (better with training)"
  const char* summary;                  // one line for `longspan methods`
  std::vector<std::string> keys{};      // accepted in NAME:key=value, besides base, original and length
  std::vector<std::string> required{};  // of these, the ones that have no default
  std::vector<std::string> lists{};  // needed in PositionConfig::lists: only a model's own config brings them
  bool follows_length = false;       // length=current is possible
  PositionSpec (*spec)(const PositionConfig&, const HeadShape&, int64_t length);
};

std::span<const PositionMethod> position_methods();
/// Error that lists the known names.
const PositionMethod& position_method(std::string_view name);

/// The spec of a sequence with a declared length of `length` tokens (0: the trained window). Error when the
/// config's numbers give frequencies that are negative or infinite, or leave no room for the method to change
/// anything.
PositionSpec position_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);

/// Applies `NAME[:key=value,...]` of --position to a model's own config: base and trained window stay unless
/// given. Every method accepts base=, original= (the trained window) and length= (the window it is meant to
/// reach; for methods that depend on the length this fixes it, and for dynamic_ntk and longrope
/// length=current updates it at each step). "none" is the model's own config and takes no base. Error naming
/// an unknown key, an invalid number, or a missing factor.
PositionConfig parse_position(std::string_view text, const PositionConfig& model);

/// The canonical text of a config, which parse_position reads back:
/// "yarn:base=100000,beta_fast=32,factor=4,original=8192".
std::string describe(const PositionConfig& config);

/// Reads rope_theta / rope_scaling / rope_parameters of a Hugging Face config.json. Unknown or contradictory
/// keys are an Error that names them.
PositionConfig position_from_hf(const Json& config, const HeadShape& shape);

/// partial_rotary_factor of a config.json (rotary size / head size); 1 when absent.
double rotary_fraction_from_hf(const Json& config);

/// Reads ARCH.rope.* of GGUF metadata. `lists`: the tensors rope_freqs, rope_factors_short ("short_factor")
/// and rope_factors_long ("long_factor") where the file has them. Error naming an unknown key or an invalid
/// value.
PositionConfig position_from_gguf(const Json& metadata, const std::string& arch, const HeadShape& shape,
                                  std::map<std::string, std::vector<double>> lists);

/// A PositionConfig as a model's file states it, for our reader and for other programs.
struct WrittenPosition {
  Json config;                                       // the whole config.json, or the whole GGUF metadata
  std::map<std::string, std::vector<double>> lists;  // GGUF: the tensors as position_from_gguf takes them;
                                                     // the file must carry these and no others of the three
  std::vector<std::string> remarks;                  // what readers will make of it, to be printed
};
/// For a method that the format cannot express: Error (Refuse), or written under a key that only longspan
/// reads (Keep), so that every other program loads the plain model.
enum class UnknownMethod { Refuse, Keep };

/// `config` with its rotary fields replaced: rope_theta and rope_scaling for transformers 4, rope_parameters
/// for 5, both meaning the same. reach: the window to promise; 0: extended_context(position). Where
/// transformers needs a different max_position_embeddings (dynamic: the trained window; yarn: factor times
/// the original one), that is what it gets, and longspan_context holds the promised window. A method that is
/// only a table of frequencies is written as an equivalent base if there is one, otherwise as the lists of
/// longrope.
WrittenPosition position_to_hf(Json config, const PositionConfig& position, const HeadShape& shape,
                               int64_t reach, UnknownMethod unknown);

/// `metadata` with its ARCH.rope.* and ARCH.context_length replaced. A table of frequencies becomes freq_base
/// if possible, otherwise rope_freqs, otherwise the two lists of longrope; files hold lists and base in F32.
WrittenPosition position_to_gguf(Json metadata, const std::string& arch, const PositionConfig& position,
                                 const HeadShape& shape, int64_t reach, UnknownMethod unknown);

/// One sentence for people: what the method does as a text grows.
std::string growth(const PositionConfig& config, const HeadShape& shape);

/// The window that the method reaches, in tokens: length= if given; otherwise the larger of the declared
/// window and trained_context times factor, or with zones the longest text whose mapped distances stay below
/// trained_context. 0: unlimited, because far distances are clamped or the method adapts to the declared
/// length.
int64_t extended_context(const PositionConfig& config);

}  // namespace longspan
