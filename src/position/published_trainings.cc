#include "position/published_trainings.h"

#include <cmath>
#include <limits>

#include "base/resource.h"
#include "base/settings.h"

namespace longspan {

std::vector<PublishedTraining> parse_published_trainings(std::string_view text, const std::string& file) {
  TomlFile toml = parse_toml(text, file);
  Settings settings(toml.values, {.file = file, .places = &toml.places});
  std::vector<PublishedTraining> trainings;
  settings.tables("training", [&](Settings& s) {
    PublishedTraining t;
    s.require({"name", "parameters", "from", "to", "tokens", "outcome"});
    s.read("name", t.name);
    s.read("parameters", t.parameters, 1);
    s.read("from", t.from, 1);
    s.read("to", t.to, 1);
    s.read("tokens", t.tokens, 1);
    s.read("outcome", t.outcome);
    trainings.push_back(std::move(t));
  });
  settings.done();
  return trainings;
}

std::span<const PublishedTraining> published_trainings() {
  constexpr const char* kFile = "published_trainings.toml";
  static const std::vector<PublishedTraining> trainings = parse_published_trainings(resource(kFile), kFile);
  return trainings;
}

const PublishedTraining& nearest_training(double parameters, int64_t target) {
  const PublishedTraining* best = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (const PublishedTraining& training : published_trainings()) {
    constexpr double kTooShort = 1e3;  // farther than any size
    double distance =
        std::abs(std::log(parameters / training.parameters)) + (training.to < target ? kTooShort : 0);
    if (distance < least) least = distance, best = &training;
  }
  return *best;
}

}  // namespace longspan
