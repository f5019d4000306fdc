#include "synth/synth.h"

#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"
#include "synth/maker.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

// Tokens that a chat template adds: to each message, and once (its own system message).
constexpr int64_t kMessageTokens = 8, kConversationTokens = 32;
constexpr double kLeastPart = 0.9, kAimedPart = 0.965;
constexpr int64_t kLeastTarget = 256, kMostTarget = int64_t{1} << 22;

struct KindRow {
  SynthKind kind;
  double share;  // of the default mix
  SynthDraft (*make)(SynthMaker&);
};

// THE table of kinds.
constexpr KindRow kKinds[] = {
    {{"facts", "many facts hidden in a text, a question about each", "documents"}, 0.40, make_facts},
    {{"reading", "who did or said something in the text itself", "documents", "en"}, 0, make_reading},
    {{"multi_document_qa", "articles, and questions that each one of them answers", "questions"},
     0.15,
     make_multi_document_qa},
    {{"document_qa", "one long document and questions about it", "questions"}, 0.05, make_document_qa},
    {{"quote", "quote the sentence that follows a given one", "documents"}, 0.10, make_quote},
    {{"key_value", "look up entries of a long table", "nothing"}, 0.05, make_key_value},
    {{"multi_needle", "scattered facts of one subject, all to be named", "documents"},
     0.05,
     make_multi_needle},
    {{"passage_retrieval", "in which numbered passage something stands", "documents"},
     0.05,
     make_passage_retrieval},
    {{"passage_count", "how many different passages, some repeated", "documents"}, 0.03, make_passage_count},
    {{"summary", "list headings; under which one something stands", "documents"}, 0.04, make_summary},
    {{"code", "go on behind a line; which file defines something", "code"}, 0.05, make_code},
    {{"short", "an ordinary short instruction", "instructions"}, 0.03, make_short},
};

const KindRow& kind_row(const std::string& name) {
  std::string names;
  for (const KindRow& row : kKinds) {
    if (row.kind.name == name) return row;
    names += (names.empty() ? "" : ", ") + std::string(row.kind.name);
  }
  fail("mix: there is no kind {}; there are {}", in_quotes(name), names);
}

/// The languages that a kind can be made in, with weights. A kind whose input has no language follows the
/// job's other texts.
std::vector<std::pair<std::string, double>> languages(const SynthJob& job, const SynthSources& sources,
                                                      const SynthKind& kind) {
  std::string needs = kind.needs, only = kind.language;
  bool tongueless = needs == "nothing" || needs == "code";
  std::vector<std::pair<std::string, double>> found;
  for (const char* language : {"en", "zh"}) {
    if ((job.language != "any" && job.language != language) || (!only.empty() && only != language)) continue;
    if (needs == "code" && sources.code.empty()) continue;
    auto bytes = static_cast<double>(tongueless ? sources.bytes("documents", language) +
                                                      sources.bytes("questions", language)
                                                : sources.bytes(needs, language));
    if (tongueless && (job.language == language || language == std::string("en"))) bytes += 1;
    if (bytes > 0) found.emplace_back(language, bytes);
  }
  return found;
}

/// The mix of the job, or the default. Error when one of its kinds cannot be made.
std::vector<std::pair<std::string, double>> checked_mix(const SynthJob& job, const SynthSources& sources) {
  if (job.language != "en" && job.language != "zh" && job.language != "any")
    fail("language must be en, zh or any, not {}", excerpt(job.language));
  if (job.target_tokens < kLeastTarget || job.target_tokens > kMostTarget)
    fail("a record of {} tokens cannot be made; choose {} to {}", job.target_tokens, kLeastTarget,
         kMostTarget);
  for (auto [name, value] : {std::pair{"far weight", job.far_weight},
                             {"front share", job.front_share},
                             {"sister share", job.sister_share},
                             {"natural share", job.natural_share},
                             {"sentence share", job.sentence_share}})
    if (!(value >= 0 && value <= 1)) fail("{} must be 0 to 1, not {}", name, value);
  if (job.natural_share > 0 && sources.natural.empty())
    fail("natural facts need English articles with questions whose answers they quote; give --questions");
  std::vector<std::pair<std::string, double>> mix = job.mix;
  if (mix.empty()) {
    for (const KindRow& row : kKinds)
      if (row.share > 0 && !languages(job, sources, row.kind).empty())
        mix.emplace_back(row.kind.name, row.share);
    // Documents without chapters are fine as long as nobody asked for summaries.
    bool chapters = false;
    for (const SourceText& d : sources.documents) chapters = chapters || d.headings > 0;
    if (!chapters) std::erase_if(mix, [](const auto& entry) { return entry.first == "summary"; });
  }
  double sum = 0;
  for (const auto& [name, share] : mix) {
    const SynthKind& kind = kind_row(name).kind;
    if (!(share >= 0) || !std::isfinite(share))
      fail("mix: {} has the share {}; give numbers from 0 on", name, share);
    sum += share;
    if (share > 0 && languages(job, sources, kind).empty())
      fail("mix: {} needs {}{} and none was found; give --{} or leave {} out", name, kind.needs,
           job.language == "any" ? " in en or zh" : " in " + job.language, kind.needs, name);
  }
  if (!(sum > 0)) fail("mix: all shares are 0");
  return mix;
}

const std::string& draw(const std::vector<std::pair<std::string, double>>& weights, Random& random) {
  double sum = 0;
  for (const auto& [name, weight] : weights) sum += weight;
  double at = random.uniform() * sum;
  for (const auto& [name, weight] : weights)
    if ((at -= weight) < 0) return name;
  return weights.back().first;
}

int64_t turns_of(const SynthJob& job, Random& random) {
  constexpr int64_t kTurns = 24, kTurnsAt = 32768, kMostTurns = 96;
  if (job.turns > 0 && job.most_turns > job.turns) {
    double least = std::log(static_cast<double>(job.turns)),
           most = std::log(static_cast<double>(job.most_turns + 1));
    auto turns = static_cast<int64_t>(std::exp(least + (most - least) * random.uniform()));
    return std::clamp(turns, job.turns, job.most_turns);
  }
  if (job.turns > 0) return job.turns;
  return std::clamp<int64_t>((kTurns * job.target_tokens + kTurnsAt / 2) / kTurnsAt, 1, kMostTurns);
}

/// Opening, context and question, leaving out what is empty.
std::string first_message(const SynthDraft& draft) {
  std::string text = draft.opening;
  for (std::string_view more : {stripped(draft.context), std::string_view(draft.turns[0].question)})
    if (!more.empty()) text += (text.empty() ? "" : "\n\n") + std::string(more);
  return text;
}

int64_t code_points(std::string_view text) {
  int64_t n = 0;
  for (char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

/// The record without id, kind and language; "tokens" is its length.
Json record_of(const SynthMaker& maker, const SynthDraft& draft) {
  Json messages = Json::array(), masked = Json::array(), depths = Json::array();
  int64_t tokens = kConversationTokens;
  auto say = [&](const char* role, const std::string& content) {
    tokens += kMessageTokens + maker.tokens(content);
    messages.push_back({{"role", role}, {"content", content}});
  };
  for (size_t i = 0; i < draft.turns.size(); ++i) {
    say("user", i == 0 ? first_message(draft) : draft.turns[i].question);
    say("assistant", draft.turns[i].answer);
    depths.push_back(draft.turns[i].depth);
  }
  // White space at the beginning of the context may have been stripped.
  auto begin = static_cast<int64_t>(draft.opening.size() + (draft.opening.empty() ? 0 : 2));
  auto lost = static_cast<size_t>(stripped(draft.context).data() - draft.context.data());
  std::string_view first = messages[0]["content"].get_ref<const std::string&>();
  for (auto [from, to] : draft.masked) {
    auto place = [&](size_t at) {
      return code_points(first.substr(0, static_cast<size_t>(begin) + at - lost));
    };
    masked.push_back({place(from), place(to)});
  }
  Json record = {{"messages", messages}, {"masked", masked}, {"answers_at", depths}, {"tokens", tokens}};
  if (!stripped(draft.context).empty()) {
    int64_t question = code_points(draft.turns[0].question);
    record["question_at"] = code_points(first) - question;
  }
  return record;
}

/// Varies the length of the context until the whole conversation has its target length, and takes other
/// random numbers when that does not help (long articles leave gaps).
Json fitted_record(SynthMaker maker, const KindRow& row) {
  constexpr int kDraws = 8, kFits = 5;
  int64_t target = maker.job.target_tokens, last = 0;
  bool any_length = row.make == make_short;
  size_t most_turns = 0;
  for (int i = 0; i < kDraws; ++i) {
    maker.random = Random(maker.random.next());
    maker.context_tokens = target * 4 / 5;
    for (int j = 0; j < kFits && maker.context_tokens > 0; ++j) {
      SynthMaker attempt = maker;
      SynthDraft draft = row.make(attempt);
      most_turns = std::max(most_turns, draft.turns.size());
      if (draft.turns.empty()) break;
      Json record = record_of(maker, draft);
      last = record["tokens"].get<int64_t>();
      bool long_enough = any_length || static_cast<double>(last) >= kLeastPart * static_cast<double>(target);
      if (last <= target && long_enough) return record;
      if (any_length) break;
      maker.context_tokens += static_cast<int64_t>(kAimedPart * static_cast<double>(target)) - last;
    }
  }
  if (most_turns == 0)
    fail("{}: nothing to ask about was found in {} contexts; give other files", row.kind.name, kDraws);
  fail(
      "{}: no conversation of {} tokens with {} questions could be made, the last had {}; change --tokens or "
      "--turns",
      row.kind.name, grouped(target), maker.turns, grouped(last));
}

using Mix = std::vector<std::pair<std::string, double>>;

Json make_record(const SynthJob& job, const SynthSources& sources, const Mix& mix, const Tokenizer& tokenizer,
                 int64_t k) {
  Random random(XXH64(&k, sizeof k, job.seed));
  const KindRow& row = kind_row(draw(mix, random));
  std::string language = draw(languages(job, sources, row.kind), random);
  SynthMaker maker{job, sources, tokenizer, row.kind.name, language, random, 0, turns_of(job, random)};
  constexpr double kLeastFront = 0.3, kMostFront = 0.8;
  if (job.front_share > 0 && random.uniform() < job.front_share)
    maker.front = kLeastFront + (kMostFront - kLeastFront) * random.uniform();
  Json record = {{"id", fmt::format("synth-{}-{}", job.seed, k)}, {"kind", maker.kind}, {"lang", language}};
  record.update(fitted_record(maker, row));
  return record;
}

/// A file that has a temporary name until it is complete.
class LinesFile {
 public:
  explicit LinesFile(const fs::path& path) : path_(path), part_(path.string() + ".part") {
    file_ = std::fopen(part_.c_str(), "wb");
    if (!file_) fail("{}: cannot be written: {}", part_.string(), std::strerror(errno));
    if (path.extension() == ".zst") context_.reset(ZSTD_createCCtx());
  }
  LinesFile(const LinesFile&) = delete;
  LinesFile& operator=(const LinesFile&) = delete;
  ~LinesFile() {
    if (!file_) return;
    std::fclose(file_);
    std::error_code ignored;
    fs::remove(part_, ignored);
  }
  void add(std::string_view line) { put(line, ZSTD_e_continue); }
  void finish() {
    put("", ZSTD_e_end);
    bool closed = std::fclose(file_) == 0;
    file_ = nullptr;
    if (!closed) fail("{}: cannot be written: {}", part_.string(), std::strerror(errno));
    fs::rename(part_, path_);
  }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
  };
  void put(std::string_view bytes, ZSTD_EndDirective directive) {
    if (!context_) return write(bytes);
    std::string out(ZSTD_CStreamOutSize(), '\0');
    ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
    for (size_t left = 1; left > 0 || input.pos < input.size;) {
      ZSTD_outBuffer output{out.data(), out.size(), 0};
      left = ZSTD_compressStream2(context_.get(), &output, &input, directive);
      if (ZSTD_isError(left)) fail("{}: compressing failed: {}", part_.string(), ZSTD_getErrorName(left));
      write({out.data(), output.pos});
      if (directive == ZSTD_e_continue && input.pos == input.size) break;
    }
  }
  void write(std::string_view bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size())
      fail("{}: cannot be written: {}", part_.string(), std::strerror(errno));
  }
  fs::path path_, part_;
  FILE* file_ = nullptr;
  std::unique_ptr<ZSTD_CCtx, Free> context_;
};

}  // namespace

std::vector<SynthKind> synth_kinds() {
  std::vector<SynthKind> kinds;
  for (const KindRow& row : kKinds) kinds.push_back(row.kind);
  return kinds;
}

Json synth_record(const SynthJob& job, const Tokenizer& tokenizer, int64_t k) {
  SynthSources sources = read_sources(job);
  return make_record(job, sources, checked_mix(job, sources), tokenizer, k);
}

SynthReport synthesise(const SynthJob& job, const Tokenizer& tokenizer, const fs::path& out,
                       const Progress& progress) {
  SynthReport report;
  LinesFile file(out);  // first: a path that cannot be written is known at once
  SynthSources sources = read_sources(job);
  report.reading = std::move(sources.reading);
  Mix mix = checked_mix(job, sources);
  while (report.records < job.records) {
    int64_t n = std::min<int64_t>(job.records - report.records, 2 * threads());
    std::vector<Json> batch(static_cast<size_t>(n));
    parallel_for(n, [&](int64_t i) {
      batch[static_cast<size_t>(i)] = make_record(job, sources, mix, tokenizer, report.records + i);
    });
    for (const Json& record : batch) {
      file.add(dump_json(record) + "\n");
      ++report.records;
      report.tokens += record["tokens"].get<int64_t>();
      ++report.by_kind[record["kind"].get<std::string>()];
    }
    report.complete = !progress || progress(report.records, job.records);
    if (!report.complete) return report;
  }
  file.finish();
  return report;
}

}  // namespace longspan
