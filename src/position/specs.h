// The functions that the rows of the table point to: one pure function per method, in two files. A frequency
// method sets how fast each pair of dimensions turns; a zone method remaps positions beyond some distance. i
// runs over the r/2 frequencies, theta_i = base^(-2i/r); L is the trained window, m the query's and n the
// key's position.
#pragma once

#include "position/position.h"

namespace longspan {

// ---- shared ----

double value_or(const PositionConfig& config, const std::string& key, double otherwise);
/// L; Error when it is unknown.
int64_t trained_window(const PositionConfig& config);
/// length= if it was given as a number, otherwise 0.
double fixed_length(const PositionConfig& config);
/// theta_i of the config's base.
PositionSpec rope_spec(const PositionConfig& config, const HeadShape& shape, int64_t length);
/// The base that makes the slowest frequency `ratio` times slower and leaves the fastest unchanged. Error
/// when no finite base does.
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
