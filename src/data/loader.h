// Where training rows come from. A source is a pure function of a number: row k of a recipe is the same on
// every machine, after any resume and for any number of threads, so the whole state of loading is how many
// rows were taken.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/packing.h"
#include "data/shards.h"
#include "tokenizer/chat_format.h"

namespace longspan {

/// Rows of one kind. An epoch has `rows` of them; row(k) takes any k >= 0: epoch k / rows is shuffled by its
/// number.
struct RowSource {
  std::string name;
  int64_t rows = 0;
  std::function<TrainingRow(int64_t k)> row;
};

enum class TrainingPositions { Sequential, Skipped, Randomised };

struct TextOptions {
  std::vector<std::filesystem::path> folders;  // of shards
  int64_t row_tokens = 0;
  bool overlapping = false;  // Giraffe's half-overlapping windows; else best-fit packing
  /// How often an epoch contains the documents of a category; 1 for categories that are not listed.
  std::vector<std::pair<std::string, double>> categories = {};
  /// Documents of at least `tokens` tokens are taken `times` as often, on top of their category (fractions by
  /// chance); if several rules apply, the one with the most tokens counts.
  struct LongOnes {
    int64_t tokens = 0;
    double times = 1;
  };
  std::vector<LongOnes> up_sampling = {};
  int64_t min_tokens = 0;  // shorter documents are left out
  TrainingPositions positions = TrainingPositions::Sequential;
  int64_t position_target = 0;  // Skipped: positions stay below it
  int64_t position_chunks = 10;
  double position_share = 1;  // of rows whose positions are skipped or randomised
  uint64_t seed = 0;
};
/// Rows of packed text. The seed fixes what an epoch contains and how it is packed; the order of the rows
/// differs between epochs. Error when a folder has no shard, shards of another vocabulary or no document that
/// is long enough, or when the positions are impossible.
RowSource text_source(const TextOptions& options, uint64_t vocabulary);

struct ChatOptions {
  std::vector<std::filesystem::path> files;  // records of JSON (chat_record.h), optional "id"
  int64_t row_tokens = 0;                    // longer conversations are bad documents
  bool pack = true;                          // several conversations per row
  /// Weight of the contents of all other messages: 0 trains on answers only. The template's own words have
  /// weight 0, and so have the spans listed in a record's "masked" (inserted facts, [begin, end) characters
  /// of the first message's content).
  double text_weight = 0;
  double answer_weight = 1;
  double text_share = 0;  // as in ConversationWeights
  /// Each record is a context that is read without gradient and rows, one for each question, that stand
  /// behind it (ConversationMaker::make_frozen): row.context holds the one, the documents of the row are the
  /// others. row_tokens bounds the context with its longest row.
  bool frozen = false;
  int64_t frozen_row_tokens = 0;  // most tokens of one of these rows
  OnBadDocument on_bad = OnBadDocument::Skip;
  TrainingPositions positions = TrainingPositions::Sequential;
  int64_t position_target = 0, position_chunks = 10;
  double position_share = 1;
  uint64_t seed = 0;
};
/// Rows of conversations through the model's own template; the loss is on what the assistant says and on the
/// token that ends its turn, in every turn (conversation.h). All are held in memory, 12 bytes a token. A
/// conversation that the template cannot show faithfully is a bad document. Error when none is left.
RowSource chat_source(const ChatOptions& options, const Tokenizer& tokenizer, const ChatFormat& chat,
                      ReadingReport& report);

/// Takes row k from source s with probability weight[s] / sum, drawn from (seed, k); the rows of each source
/// keep their order. `rows` is the sum over the sources. Error when a weight is negative or all are 0.
RowSource mixture(std::vector<RowSource> sources, std::vector<double> weights, uint64_t seed);

}  // namespace longspan
