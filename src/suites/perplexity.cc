// Loss over windows of long documents. Keys of [task.make]:
//   kind        "sliding" or "curve"
//   lengths     tokens of a window, its opening included; default: the model's window, at most 4,096
//   (sliding),
//               or 1,024, 2,048, .. up to it, at most 32,768 (curve)
//   text        files or folders (below --data, if that is a folder); default: --data itself, else built-in
//               books
//   min_tokens  documents with fewer are skipped; default: a window of the longest length
//   samples     documents used; 0: all
//   windows     of each document and length; 0: all (curve: 1)
// Sliding, by recipe:
//   strict      windows begin at 0, S, 2S, ..; each token counts once, after at least L - S tokens except in
//   the
//               first window. S: stride, default half of the length. BOS where the tokenizer adds it.
//   yarn        the same windows with S = 256, but always a BOS if there is one, and every window's mean has
//               equal weight: the row says combine = "window_mean". truncate = true: the first window only.
//   longlora    all documents are one stream, without BOS; windows begin at 0, S, .. below n - L, S = 256,
//               the last one is dropped; all of a window counts, and every window has equal weight.
// Curve: the last `tail` tokens before a position count, and the text before them grows with the length: the
// same tokens are scored at each length. There are `windows` positions, and the last is the document's end:
//   spread      "parts" (each ends an equal part of what follows the first window) or "ends" (the first is as
//               early as the longest window allows)
//   longest     tokens of the longest window that the positions must hold; default the longest of the lengths
//   whole       true: losses by position come from all of a window, not only from the counted tokens
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "suites/cases.h"
#include "suites/haystack.h"
#include "suites/records.h"

namespace longspan {

namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

/// [task.make], read.
struct Plan {
  std::string kind = "sliding", recipe = "strict";
  std::vector<int64_t> lengths;
  std::vector<std::string> text;
  int64_t stride = 0, tail = 512, min_tokens = 0, samples = 0, windows = 0, longest = 0;
  std::string spread = "parts";
  bool truncate = false, whole = false;
};

/// Tokens begin <= i < end of the text are read; those from `counted` on count.
struct Window {
  int64_t begin, end, counted;
};

struct Text {
  std::string name, source;
  std::shared_ptr<const Ids> ids;
};

std::vector<int64_t> default_lengths(const Plan& settings, int64_t window) {
  constexpr int64_t kUnknown = 4096, kSliding = 4096, kFirst = 1024, kLast = 32768;
  int64_t reach = window > 0 ? window : kUnknown;
  if (settings.kind == "sliding") return {std::min(reach, kSliding)};
  std::vector<int64_t> lengths;
  for (int64_t length = kFirst; length <= std::min(reach, kLast); length *= 2) lengths.push_back(length);
  if (lengths.empty()) lengths.push_back(reach);
  return lengths;
}

void check(const Plan& s, const Settings& row) {
  if (s.kind == "curve" && s.recipe != "strict")
    row.refuse("recipe", "a curve has none: it is of kind = \"sliding\"");
  for (int64_t length : s.lengths)
    if (s.kind == "sliding" && s.recipe != "longlora" && s.stride >= length)
      row.refuse("stride",
                 fmt::format("{} was given; less than the length of {} was expected", s.stride, length));
}

Plan read_plan(const Task& task, const MakeContext& context) {
  Plan s;
  Settings row = make_settings(task);
  row.read("kind", s.kind, {"sliding", "curve"});
  row.read("recipe", s.recipe, {"strict", "yarn", "longlora"});
  if (!row.read("lengths", s.lengths, 4)) s.lengths = default_lengths(s, context.window);
  row.read("text", s.text);
  row.read("stride", s.stride, 1);
  row.read("tail", s.tail, 1);
  row.read("min_tokens", s.min_tokens, 1);
  row.read("samples", s.samples, 0);
  row.read("windows", s.windows, 0);
  row.read("truncate", s.truncate);
  row.read("spread", s.spread, {"parts", "ends"});
  row.read("longest", s.longest, 1);
  row.read("whole", s.whole);
  row.done();
  if (s.lengths.empty()) row.refuse("lengths", "at least one is needed");
  s.longest = std::max(s.longest, *std::max_element(s.lengths.begin(), s.lengths.end()));
  if (s.recipe != "strict" && s.stride == 0) s.stride = 256;
  if (s.truncate && s.recipe != "yarn") row.refuse("truncate", "only the recipe yarn knows it");
  bool equal_weight = task.combine == "window_mean";
  if (equal_weight != (s.recipe != "strict"))
    fail("task {}: combine: {}", task.name,
         equal_weight ? "window_mean belongs to the recipes yarn and longlora"
                      : "the recipe " + s.recipe +
                            " gives every window the same weight; write combine = \"window_mean\"");
  check(s, row);
  return s;
}

/// What stands before every window.
Ids opening_of(const Plan& settings, const Tokenizer& tokenizer) {
  if (tokenizer.bos_id() < 0 || settings.recipe == "longlora") return {};
  if (settings.recipe == "yarn") return {tokenizer.bos_id()};
  Ids with = tokenizer.encode("a");
  return !with.empty() && with.front() == tokenizer.bos_id() ? Ids{with.front()} : Ids{};
}

/// Calls body(name, source, text) until it returns false.
void read_texts(const Plan& settings, const MakeContext& context,
                const std::function<bool(std::string, std::string, const std::string&)>& body) {
  if (context.text) {
    body("text", "", *context.text);
    return;
  }
  const fs::path& data = context.data;
  std::vector<fs::path> files;
  for (const std::string& name : settings.text) {
    files.push_back(fs::is_directory(data) ? data / name : fs::path(name));
    if (!fs::exists(files.back()))
      throw MissingData{fmt::format("{}: there is no such file", files.back().string())};
  }
  if (files.empty() && !data.empty()) files.push_back(data);
  if (files.empty())
    return read_resource_records(
        "haystack/essays_en.jsonl.zst", [&](Json&& record, const std::string& where) {
          return body(text_field(record, "title", where), where, text_field(record, "text", where));
        });
  read_user_documents(files, context.reading, [&](Document&& document) {
    std::string where = document.line > 0 ? fmt::format("{}:{}", document.file.string(), document.line)
                                          : document.file.string();
    bool titled = document.fields.is_object() && document.fields.contains("title") &&
                  document.fields["title"].is_string();
    return body(titled ? document.fields["title"].get<std::string>() : document.id, where, document.text);
  });
}

/// Those with `needed` tokens at least. Error when there is none.
std::vector<Text> long_texts(const Plan& settings, const MakeContext& context, int64_t needed) {
  std::vector<Text> texts;
  int64_t seen = 0, longest = 0;
  read_texts(settings, context, [&](std::string name, std::string source, const std::string& text) {
    Ids ids = context.prompts.tokenizer.encode(text, {.add_special = false, .parse_special = false});
    ++seen;
    longest = std::max(longest, std::ssize(ids));
    if (std::ssize(ids) >= needed)
      texts.push_back({std::move(name), std::move(source), std::make_shared<const Ids>(std::move(ids))});
    return settings.samples == 0 || std::ssize(texts) < settings.samples;
  });
  if (texts.empty())
    fail(
        "a document of {} tokens is needed, but the longest of {} has {}; give longer ones with --data, or "
        "ask for shorter windows with --set make.lengths=[..]",
        grouped(needed), grouped(seen), grouped(longest));
  return texts;
}

/// All texts, concatenated.
Text stream_of(const std::vector<Text>& texts) {
  auto ids = std::make_shared<Ids>();
  for (const Text& text : texts) ids->insert(ids->end(), text.ids->begin(), text.ids->end());
  if (texts.size() == 1) return texts.front();
  return {fmt::format("{} documents", texts.size()), texts.front().source, ids};
}

/// strict and yarn: `room` tokens of the text fit into a window.
std::vector<Window> sliding_windows(int64_t tokens, int64_t room, int64_t stride, int64_t most) {
  std::vector<Window> windows;
  for (int64_t begin = 0, seen = 0; seen < tokens; begin += stride) {
    int64_t end = std::min(begin + room, tokens);
    windows.push_back({begin, end, seen});
    seen = end;
    if (std::ssize(windows) == most) break;
  }
  return windows;
}

std::vector<Window> longlora_windows(int64_t tokens, int64_t length, int64_t stride, int64_t most) {
  std::vector<Window> windows;
  for (int64_t begin = 0; begin + stride < tokens - length; begin += stride) {
    windows.push_back({begin, begin + length, begin});
    if (std::ssize(windows) == most) break;
  }
  return windows;
}

/// `room` and `longest`: tokens of the text in a window of this length and of the longest.
std::vector<Window> curve_windows(const Plan& s, int64_t tokens, int64_t room, int64_t longest) {
  const int64_t tail = s.tail, places = std::max<int64_t>(1, s.windows), rest = tokens - longest;
  const bool ends = s.spread == "ends";
  if (places > 1 && rest / (ends ? places - 1 : places) < tail)
    fail(
        "{} places with {} counted tokens each, behind {} others, do not fit into a document of {} tokens; "
        "ask for fewer with --set make.windows=N",
        places, tail, longest - tail, grouped(tokens));
  std::vector<Window> windows;
  for (int64_t place = 1; place <= places; ++place) {
    int64_t end = longest + rest * place / places;
    if (ends && places > 1) end = tokens - rest * (places - place) / (places - 1);
    windows.push_back({end - room, end, end - tail});
  }
  return windows;
}

std::vector<Window> windows_of(const Plan& s, int64_t tokens, int64_t length, int64_t opening) {
  int64_t room = length - opening;
  if (s.kind == "curve") return curve_windows(s, tokens, room, s.longest - opening);
  if (s.recipe == "longlora") return longlora_windows(tokens, length, s.stride, s.windows);
  int64_t stride = s.stride > 0 ? s.stride : length / 2;
  return sliding_windows(tokens, room, stride, s.truncate ? 1 : s.windows);
}

Case window_case(const Text& text, const Window& w, const Ids& opening, bool whole) {
  return {
      .id = "", .kind = CaseKind::Loss, .source = text.source, .text = [ids = text.ids, w, opening, whole] {
        CaseText result;
        result.whole_curve = whole;
        result.ids = opening;
        result.ids.insert(result.ids.end(), ids->begin() + w.begin, ids->begin() + w.end);
        result.from = std::max<int64_t>(1, std::ssize(opening) + w.counted - w.begin);
        return result;
      }};
}

}  // namespace

std::vector<Case> make_perplexity_cases(const Task& task, const MakeContext& context) {
  const Plan settings = read_plan(task, context);
  const Ids opening = opening_of(settings, context.prompts.tokenizer);
  const bool stream = settings.recipe == "longlora";
  int64_t needed = settings.longest - std::ssize(opening);
  if (stream) needed = 1;
  std::vector<Text> texts = long_texts(settings, context, std::max(needed, settings.min_tokens));
  if (stream) texts = {stream_of(texts)};

  std::vector<Case> cases;
  for (int64_t length : settings.lengths) {
    if (settings.kind == "curve" && length <= settings.tail) {
      cases.push_back(
          too_short_case(task, length,
                         fmt::format("task {}: {} tokens leave nothing before the last {} that count (tail)",
                                     task.name, length, settings.tail)));
      continue;
    }
    int64_t number = 0;
    auto full = [&] { return context.limit > 0 && number == context.limit; };
    for (const Text& text : texts) {
      std::vector<Window> windows = windows_of(settings, std::ssize(*text.ids), length, std::ssize(opening));
      if (windows.empty())
        fail("windows of {} tokens, {} apart, need more than {} tokens, but the text has {}", grouped(length),
             settings.stride, grouped(length + settings.stride), grouped(std::ssize(*text.ids)));
      for (size_t w = 0; w < windows.size() && !full(); ++w, ++number) {
        Case c = window_case(text, windows[w], opening, settings.whole);
        c.id = fmt::format("{}/{}/{}", task.name, length, number);
        c.cell.fields = {{"document", text.name}, {"length", length}, {"window", w}};
        c.length = length;
        cases.push_back(std::move(c));
      }
    }
  }
  return cases;
}

}  // namespace longspan
