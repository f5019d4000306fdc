// From what a recipe names to rows: files are tokenised into OUTPUT/shards once, each list of files by
// itself.
#include <xxhash.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "model/model_files.h"
#include "train/trainer.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

struct Opening {
  const Recipe& recipe;
  const Checkpoint& checkpoint;
  Tokenizer tokenizer;
  uint64_t vocabulary = 0;
  const std::function<void(const std::string&)>& note;

  void say(const std::string& sentence) const {
    if (note) note(sentence);
  }
};

/// A seed for source `index` of stage `stage`: their orders are to differ.
uint64_t seed_of(const Recipe& recipe, size_t stage, size_t index) {
  uint64_t parts[3] = {recipe.seed, stage, index};
  return XXH64(parts, sizeof parts, 0);
}

void report(const Opening& o, const ReadingReport& reading) {
  if (reading.bad == 0) return;
  o.say(fmt::format("{} of {} documents were skipped, the first one: {}", reading.bad,
                    reading.documents + reading.bad, reading.faults.empty() ? "" : reading.faults[0]));
}

/// The folder of shards of a list of files. Its name tells the list, the files' sizes and times, and the
/// vocabulary: a file that changes is tokenised anew.
fs::path shards_of(const Opening& o, const std::vector<fs::path>& files) {
  std::string key = std::to_string(o.vocabulary);
  for (const fs::path& file : files)
    key += "\n" + file.string() + (fs::is_directory(file) ? "" : "\n" + file_stamp(file));
  fs::path folder = o.recipe.output / "shards" / fmt::format("{:016x}", XXH64(key.data(), key.size(), 0));
  if (fs::exists(folder)) return folder;  // whole: tokenise puts it in place last
  fs::create_directories(folder.parent_path());
  TokeniseReport made = tokenise(files, o.tokenizer, folder, {}, {});
  report(o, made.reading);
  o.say(fmt::format("{}: {} documents, {} tokens", folder.string(), made.reading.documents, made.tokens));
  return folder;
}

RowSource source_of(const Opening& o, const RowData& data, size_t stage) {
  std::vector<RowSource> sources;
  std::vector<double> weights;
  for (const TextData& text : data.text) {
    TextOptions options = text.options;
    if (!text.files.empty()) options.folders = {shards_of(o, text.files)};
    options.seed = seed_of(o.recipe, stage, sources.size());
    sources.push_back(text_source(options, o.vocabulary));
    weights.push_back(text.weight);
  }
  if (!data.chat.empty()) {
    auto found = find_chat_template(o.checkpoint, "");
    if (!found) fail("{}: the model has no chat template, which [[stage.chat]] needs", o.recipe.model);
    ChatTemplate chat(found->jinja, found->source);
    Json variables = chat_template_variables(o.checkpoint, o.tokenizer);
    for (const ChatData& conversations : data.chat) {
      ChatOptions options = conversations.options;
      options.seed = seed_of(o.recipe, stage, sources.size());
      ReadingReport reading;
      sources.push_back(chat_source(options, o.tokenizer, chat, variables, reading));
      report(o, reading);
      weights.push_back(conversations.weight);
    }
  }
  if (sources.size() == 1) return sources[0];
  return mixture(std::move(sources), std::move(weights), seed_of(o.recipe, stage, size_t{1} << 32));
}

/// The beginnings of held-out documents that are long enough.
std::vector<std::vector<int32_t>> validation_texts(const Opening& o) {
  std::vector<std::vector<int32_t>> texts;
  const std::vector<int64_t>& lengths = o.recipe.validation_lengths;
  auto longest = static_cast<size_t>(*std::max_element(lengths.begin(), lengths.end()));
  auto wanted = static_cast<size_t>(o.recipe.validation_windows);
  read_documents(o.recipe.validation_files, OnBadDocument::Skip, [&](Document&& document) {
    if (document.text.size() < longest) return true;  // a token is a byte at least
    std::vector<int32_t> ids = o.tokenizer.encode(document.text);
    if (ids.size() >= longest) {
      ids.resize(longest);
      texts.push_back(std::move(ids));
    }
    return texts.size() < wanted;
  });
  if (texts.empty())
    fail("validation: no document of the held-out files has {} tokens, the longest of lengths", longest);
  return texts;
}

}  // namespace

TrainingData open_training_data(const Recipe& recipe, const Checkpoint& checkpoint,
                                const std::function<void(const std::string&)>& note) {
  check_files(recipe);
  Opening o{recipe, checkpoint, load_tokenizer(checkpoint), 0, note};
  o.vocabulary = vocabulary_digest(o.tokenizer);
  TrainingData data;
  for (size_t s = 0; s < recipe.stages.size(); ++s) {
    const Stage& stage = recipe.stages[s];
    StageRows rows{source_of(o, stage.data, 2 * s), {}};
    if (stage.short_rows.rows > 0) rows.short_rows = source_of(o, stage.short_rows.data, 2 * s + 1);
    data.stages.push_back(std::move(rows));
  }
  if (recipe.validation_steps > 0) data.validation = validation_texts(o);
  return data;
}

}  // namespace longspan
