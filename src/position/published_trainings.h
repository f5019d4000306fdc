// Trainings that others published: what it took to stretch which model (resources/published_trainings.toml).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

struct PublishedTraining {
  std::string name;
  double parameters = 0;
  int64_t from = 0, to = 0;  // windows, tokens
  double tokens = 0;         // trained on
  std::string outcome;
};

/// The rows of the program's own file, in its order.
std::span<const PublishedTraining> published_trainings();
/// Of those that reached N tokens (of all, when none did) the one whose model is nearest in size.
const PublishedTraining& nearest_training(double parameters, int64_t target);

/// A text of that form: tables [[training]]. Error naming `file` and the key when one is missing, unknown or
/// of the wrong type.
std::vector<PublishedTraining> parse_published_trainings(std::string_view text, const std::string& file);

}  // namespace longspan
