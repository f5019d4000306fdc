#include "eval/suites/known_scores.h"
namespace longspan { 
std::vector<KnownScore> known_scores(std::string_view, std::string_view) { return {}; } }
