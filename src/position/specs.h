// What the rows of the table point to: one pure function a method, in two files by shape. A frequency method
// says how fast each pair of dimensions turns; a zone method maps positions anew beyond a distance. i runs
// over the r/2 frequencies, theta_i = base^(-2i/r); L is the trained window, m the query's and n the key's
// position.
#pragma once

#include "position/position.h"

namespace longspan {

// ---- what all of them use ----

double value_or(const PositionConfig& config, const std::string& key, double otherwise);
/// L; Error when it is not known.
int64_t trained_window(const PositionConfig& config);
/// length= where it was given as a number; else 0.
double fixed_length(const PositionConfig& config);
/// theta_i of the config's base.
PositionSpec rope_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
/// The base under which the slowest frequency is `ratio` times slower and the fastest unchanged. Error when
/// there is no such number.
double ntk_base(const PositionConfig& config, double ratio, const HeadShape& shape);
std::vector<double> frequencies_of_base(double base, const HeadShape& shape);

// ---- frequencies.cc ----

PositionSpec linear_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec ntk_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec dynamic_ntk_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec yarn_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec llama3_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec longrope_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec freq_factors_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec power_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec truncated_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec xpos_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec p_rope_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec drope_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec alibi_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);

// ---- zones.cc ----

PositionSpec rerope_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec leaky_rerope_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec nlpe_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec self_extend_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec dual_chunk_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
PositionSpec string_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);

}  // namespace longspan
