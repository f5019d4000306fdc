// RULER's question answering: the paragraphs with the answer among others of the same data set.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "documents/document.h"
#include "documents/records.h"
#include "suites/records.h"
#include "suites/ruler.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kStep = 10;

struct QaQuestion {
  std::string question;
  std::vector<std::string> answers;
  std::vector<size_t> documents = {};  // that hold the answer
  std::vector<size_t> nearby = {};     // the first choice of distractors
};

struct QaData {
  std::vector<std::string> documents;  // sorted, distinct
  std::vector<QaQuestion> questions;
};

/// Collects the documents in file order; finish() sorts them and makes the questions refer to them by index.
struct Collected {
  std::vector<std::string> documents;
  std::vector<QaQuestion> questions;

  QaData finish() && {
    QaData data;
    data.documents = sorted_set(documents);
    const auto place = [&](size_t& i) {
      const auto at = std::lower_bound(data.documents.begin(), data.documents.end(), documents[i]);
      i = static_cast<size_t>(at - data.documents.begin());
    };
    for (QaQuestion& question : questions) {
      std::for_each(question.documents.begin(), question.documents.end(), place);
      std::for_each(question.nearby.begin(), question.nearby.end(), place);
      // A paragraph that an article has twice is not near itself.
      std::erase_if(question.nearby, [&](size_t i) { return i == question.documents[0]; });
    }
    data.questions = std::move(questions);
    return data;
  }
};

/// json[key]. Error naming the file when it is missing.
const Json& field(const Json& json, const char* key, const std::string& where) {
  if (!json.is_object() || !json.contains(key)) fail("{}: the field \"{}\" is missing", where, key);
  return json[key];
}
std::string text_field(const Json& json, const char* key, const std::string& where) {
  const Json& value = field(json, key, where);
  if (!value.is_string()) fail("{}: the field \"{}\" is no text", where, key);
  return value.get<std::string>();
}
const Json& list_field(const Json& json, const char* key, const std::string& where) {
  const Json& value = field(json, key, where);
  if (!value.is_array()) fail("{}: the field \"{}\" is no list", where, key);
  return value;
}

/// "TITLE\nTEXT" of ["TITLE", ["SENTENCE", ...]].
std::string hotpot_document(const Json& pair, const std::string& where) {
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_array())
    fail("{}: a document is no pair of a title and its sentences", where);
  std::string text = pair[0].get<std::string>() + "\n";
  for (const Json& sentence : pair[1]) {
    if (!sentence.is_string()) fail("{}: a sentence is no text", where);
    text += sentence.get<std::string>();
  }
  return text;
}

std::optional<RulerSample> qa_trial(const QaData& data, const RulerRun& run, PythonRandom& random,
                                    int64_t index, int64_t units) {
  const QaQuestion& question = data.questions[static_cast<size_t>(index)];
  const auto wanted = static_cast<size_t>(units);
  std::vector<size_t> chosen;
  if (wanted < data.documents.size()) {
    if (wanted < question.documents.size()) return std::nullopt;
    chosen = question.documents;
    const size_t beside = wanted - chosen.size();
    std::vector<size_t> pool = question.nearby;
    if (beside > pool.size()) {
      chosen.insert(chosen.end(), pool.begin(), pool.end());
      std::vector<bool> used(data.documents.size());
      for (const size_t i : chosen) used[i] = true;
      pool.clear();
      for (size_t i = 0; i < used.size(); ++i)
        if (!used[i]) pool.push_back(i);
    }
    const size_t more = wanted - chosen.size();
    if (more > pool.size()) return std::nullopt;
    for (const size_t i : random.sample(pool.size(), more)) chosen.push_back(pool[i]);
  } else {
    for (size_t i = 0; i < wanted; ++i) chosen.push_back(i % data.documents.size());
  }
  PythonRandom(run.seed).shuffle(chosen);

  std::string context;
  for (size_t i = 0; i < chosen.size(); ++i)
    context += fmt::format("{}Document {}:\n{}", i > 0 ? "\n\n" : "", i + 1, data.documents[chosen[i]]);
  const Json fields = {{"context", std::move(context)}, {"query", question.question}};
  return RulerSample{fill_slots(run.prompt, fields, run.name), fill_slots(run.prefix, fields, run.name),
                     question.answers};
}

Json read_packed_json(const fs::path& file) {
  return parse_json(documents::read_document(file, "").text, file.string());
}

QaData read_squad(const fs::path& path) {
  const std::string file = path.string();
  const Json json = read_packed_json(path);
  Collected collected;
  for (const Json& article : list_field(json, "data", file)) {
    const Json& paragraphs = list_field(article, "paragraphs", file);
    const size_t begin = collected.documents.size();
    for (const Json& paragraph : paragraphs)
      collected.documents.push_back(text_field(paragraph, "context", file));
    for (size_t p = 0; p < paragraphs.size(); ++p) {
      for (const Json& qa : list_field(paragraphs[p], "qas", file)) {
        if (qa.is_object() && qa.contains("is_impossible") && qa["is_impossible"] == true) continue;
        QaQuestion question{text_field(qa, "question", file), {}, {begin + p}, {}};
        for (const Json& answer : list_field(qa, "answers", file))
          question.answers.push_back(text_field(answer, "text", file));
        for (size_t other = 0; other < paragraphs.size(); ++other) question.nearby.push_back(begin + other);
        collected.questions.push_back(std::move(question));
      }
    }
  }
  return std::move(collected).finish();
}

QaData read_hotpotqa(const fs::path& path) {
  const std::string file = path.string();
  const Json json = read_packed_json(path);
  if (!json.is_array()) fail("{}: a list of questions was expected", file);
  Collected collected;
  for (const Json& record : json) {
    QaQuestion question{text_field(record, "question", file), {text_field(record, "answer", file)}, {}, {}};
    for (const Json& pair : list_field(record, "context", file)) {
      question.documents.push_back(collected.documents.size());
      collected.documents.push_back(hotpot_document(pair, file));
    }
    collected.questions.push_back(std::move(question));
  }
  return std::move(collected).finish();
}

QaData read_nq_open(const fs::path& file) {
  Collected collected;
  documents::read_lines(file, [&](std::string_view line, int64_t number) {
    const std::string where = fmt::format("{}:{}", file.string(), number);
    const Json record = parse_json(line, where);
    QaQuestion question{text_field(record, "question", where), {}, {}, {}};
    for (const Json& answer : list_field(record, "answers", where)) {
      if (!answer.is_string()) fail("{}: an answer is no text", where);
      question.answers.push_back(answer.get<std::string>());
    }
    for (const Json& document : list_field(record, "ctxs", where)) {
      question.documents.push_back(collected.documents.size());
      collected.documents.push_back(text_field(document, "title", where) + "\n" +
                                    text_field(document, "text", where));
    }
    if (question.documents.empty()) fail("{}: there is no document in \"ctxs\"", where);
    collected.questions.push_back(std::move(question));
    return true;
  });
  return std::move(collected).finish();
}

/// The files of a data set that --data may hold, in order of preference.
struct Source {
  const char *dataset, *file, *cell;
  QaData (*read)(const fs::path& file);
};
const Source kSources[] = {
    {"squad", "squad.json", "squad", read_squad},
    {"squad", "dev-v2.0.json", "squad", read_squad},
    {"squad", "nq-open-oracle.jsonl", "qa_nq", read_nq_open},  // instead of SQuAD
    {"hotpotqa", "hotpotqa.json", "hotpotqa", read_hotpotqa},
    {"hotpotqa", "hotpot_dev_distractor_v1.json", "hotpotqa", read_hotpotqa},
};

/// The first source that exists, and its file. MissingData.
std::pair<const Source*, fs::path> find_source(const fs::path& data, const std::string& dataset) {
  std::vector<std::string> names;
  for (const Source& source : kSources) {
    if (dataset != source.dataset) continue;
    names.push_back(source.file);
    try {
      return {&source, find_data(data, source.file)};
    } catch (const MissingData&) {
    }
  }
  throw MissingData{fmt::format("none of {} is {}", fmt::join(names, ", "),
                                data.empty() ? "named with --data" : "below " + data.string())};
}

RulerMaker begin_qa(const std::shared_ptr<const QaData>& data, const RulerRun& run, RulerRandom& random) {
  const RulerTrial trial = [data, run](RulerRandom& stream, int64_t index, int64_t units) {
    return qa_trial(*data, run, stream.python, index, units);
  };
  const int64_t most = estimated_size(run, random, kStep, trial);
  return shrunk_to_fit(run, kStep, search_size(run, random, kStep, most, 0, trial), trial);
}

}  // namespace

RulerPlan plan_ruler_qa(const Task& task, const fs::path& data_path) {
  Settings row = make_settings(task);
  RulerPlan plan;
  read_ruler_keys(row, plan);
  std::string dataset = "squad";
  row.read("dataset", dataset, {"squad", "hotpotqa"});
  row.done();
  const auto [source, file] = find_source(data_path, dataset);
  const auto data = std::make_shared<const QaData>(source->read(file));
  if (data->questions.empty() || data->documents.empty())
    fail("{}: there is no question with a document in it", file.string());
  plan.samples = std::min<int64_t>(plan.samples, std::ssize(data->questions));
  plan.cell.add("data", source->cell);
  plan.begin = [data](const RulerRun& run, RulerRandom& random) { return begin_qa(data, run, random); };
  return plan;
}

std::vector<Case> make_ruler_qa_cases(const Task& task, const MakeContext& context) {
  return ruler_cases(task, context, plan_ruler_qa(task, context.data));
}

}  // namespace longspan
