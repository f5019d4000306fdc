// From what a recipe names to rows: files are tokenised into OUTPUT/shards once, each list of files
// separately.
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/plural.h"
#include "base/text.h"
#include "data/conversation.h"
#include "model/model_files.h"
#include "train/trainer.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

struct Opening {
  const Recipe& recipe;
  Tokenizer tokenizer;
  ChatFormat chat;
  uint64_t vocabulary = 0;
  const std::function<void(const std::string&)>& note;

  void say(const std::string& sentence) const {
    if (note) note(sentence);
  }
};

/// A seed for source `index` of stage `stage`, so that their orders differ.
uint64_t seed_of(const Recipe& recipe, size_t stage, size_t index) {
  uint64_t parts[3] = {recipe.seed, stage, index};
  return XXH64(parts, sizeof parts, 0);
}

void report(const Opening& o, const ReadingReport& reading) {
  for (const std::string& sentence : reading.remarks) o.say(sentence);
  if (reading.bad == 0) return;
  o.say(fmt::format("{} of {} documents were skipped, the first one: {}", reading.bad,
                    reading.documents + reading.bad, reading.faults.empty() ? "" : reading.faults[0]));
}

/// The folder of shards of a list of files. Its name is a digest of the list, the files' sizes and times, and
/// the vocabulary: a file that changes is tokenised again.
fs::path shards_of(const Opening& o, const std::vector<fs::path>& files) {
  std::string key = std::to_string(o.vocabulary);
  for (const fs::path& file : files)
    key += "\n" + file.string() + (fs::is_directory(file) ? "" : "\n" + file_stamp(file));
  fs::path folder = o.recipe.output / "shards" / fmt::format("{:016x}", XXH64(key.data(), key.size(), 0));
  if (fs::exists(folder)) return folder;  // complete: tokenise renames it last
  fs::create_directories(folder.parent_path());
  TokeniseReport made = tokenise(files, o.tokenizer, folder, {}, {});
  report(o, made.reading);
  o.say(fmt::format("{}: {}, {}", folder.string(), counted(made.reading.documents, "document"),
                    counted(made.tokens, "token")));
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
  for (const ChatData& conversations : data.chat) {
    ChatOptions options = conversations.options;
    options.seed = seed_of(o.recipe, stage, sources.size());
    ReadingReport reading;
    sources.push_back(chat_source(options, o.tokenizer, o.chat, reading));
    report(o, reading);
    weights.push_back(conversations.weight);
  }
  if (sources.size() == 1) return sources[0];
  return mixture(std::move(sources), std::move(weights), seed_of(o.recipe, stage, size_t{1} << 32));
}

/// The chat format of conversations; nothing is read when no stage has any. Error, before anything is
/// tokenised, when a stage has some and there is no template.
ChatFormat chat_format_of(const Recipe& recipe, const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  auto stage = std::find_if(recipe.stages.begin(), recipe.stages.end(), [](const Stage& s) {
    return !s.data.chat.empty() || (s.short_rows.rows > 0 && !s.short_rows.data.chat.empty());
  });
  if (stage == recipe.stages.end()) return {};
  ChatFormat chat = load_chat_format(checkpoint, tokenizer, recipe.chat_template);
  if (!chat.chat_template)
    fail(
        "{}: stage \"{}\" trains on conversations, but {} carries no chat template; choose one with the key "
        "chat_template at the top of the recipe, a file or one of: {}",
        recipe.file.string(), excerpt(stage->name), excerpt(recipe.model),
        fmt::join(builtin_chat_template_names(), ", "));
  return chat;
}

/// The beginnings of held-out documents that are long enough.
std::vector<std::vector<int32_t>> validation_texts(const Opening& o) {
  std::vector<std::vector<int32_t>> texts;
  const std::vector<int64_t>& lengths = o.recipe.validation_lengths;
  auto longest = static_cast<size_t>(*std::max_element(lengths.begin(), lengths.end()));
  auto wanted = static_cast<size_t>(o.recipe.validation_windows);
  ReadingReport reading = read_documents(o.recipe.validation_files, {}, [&](Document&& document) {
    if (document.text.size() < longest) return true;  // a token is a byte at least
    std::vector<int32_t> ids = o.tokenizer.encode(document.text);
    if (ids.size() >= longest) {
      ids.resize(longest);
      texts.push_back(std::move(ids));
    }
    return texts.size() < wanted;
  });
  report(o, reading);
  if (texts.empty())
    fail("validation: no document of the held-out files has {} tokens, the longest of lengths", longest);
  return texts;
}

}  // namespace

TrainingData open_training_data(const Recipe& recipe, const Checkpoint& checkpoint,
                                const std::function<void(const std::string&)>& note) {
  check_files(recipe);
  Tokenizer tokenizer = load_tokenizer(checkpoint);
  Opening o{recipe, tokenizer, chat_format_of(recipe, checkpoint, tokenizer), vocabulary_digest(tokenizer),
            note};
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

namespace {

/// Error unless each of the files begins with a document.
void check_first_documents(const Opening& o, const std::vector<fs::path>& files,
                           const ReadingOptions& options) {
  for (const fs::path& file : files) {
    bool found = false;
    ReadingReport reading = read_documents({file}, options, [&](Document&&) {
      found = true;
      return false;
    });
    for (const std::string& sentence : reading.remarks) o.say(sentence);
    if (!found)
      fail("{}: holds no document that can be read{}", file.string(),
           reading.faults.empty() ? "" : "; the first one: " + reading.faults.front());
  }
}

/// Error unless the first record of each file is a context and questions about it.
void check_first_contexts(const Opening& o, const std::vector<fs::path>& files) {
  for (const fs::path& file : files)
    read_documents({file}, {.text_needed = false}, [&](Document&& document) {
      try {
        ConversationMaker(o.tokenizer, o.chat).make_frozen(document.fields, {});
      } catch (const Error& e) {
        fail("{}:{}: {}", file.string(), document.line, e.what());
      }
      return false;
    });
}

void check_row_data(const Opening& o, const RowData& data) {
  for (const TextData& text : data.text) {
    check_first_documents(o, text.files, {});
    if (text.files.empty()) text_source(text.options, o.vocabulary);
  }
  for (const ChatData& chat : data.chat) {
    check_first_documents(o, chat.options.files, {.text_needed = false});
    if (chat.options.frozen) check_first_contexts(o, chat.options.files);
  }
}

}  // namespace

void check_inputs(const Recipe& recipe, const Checkpoint& checkpoint,
                  const std::function<void(const std::string&)>& note) {
  check_files(recipe);
  Tokenizer tokenizer = load_tokenizer(checkpoint);
  Opening o{recipe, tokenizer, chat_format_of(recipe, checkpoint, tokenizer), vocabulary_digest(tokenizer),
            note};
  for (const Stage& stage : recipe.stages) {
    check_row_data(o, stage.data);
    if (stage.short_rows.rows > 0) check_row_data(o, stage.short_rows.data);
  }
  if (recipe.validation_steps > 0) validation_texts(o);
}

}  // namespace longspan
