#include "documents/encoding.h"

#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "base/text.h"
#include "documents/plausible.h"

namespace longspan::documents {

namespace {

constexpr size_t kSampleBytes = size_t{64} << 10;
constexpr double kReadsLikeWriting = 0.45;
constexpr std::array<std::string_view, 5> kTwoByte = {"GB18030", "Big5", "Shift-JIS", "EUC-JP", "EUC-KR"};

// THE table of encodings that have a name of ours: as on the web, an old name means its largest superset.
struct Row {
  const char* name;
  const char* converter;  // ICU's name
  std::vector<std::string> others;
};
const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"UTF-8", "UTF-8", {"utf8"}},
      {"UTF-16LE", "UTF-16LE", {}},
      {"UTF-16BE", "UTF-16BE", {}},
      {"UTF-32LE", "UTF-32LE", {}},
      {"UTF-32BE", "UTF-32BE", {}},
      {"GB18030", "gb18030", {"gb2312", "gbk", "cp936", "windows936", "euccn", "xgbk"}},
      {"Big5", "windows-950-2000", {"cp950", "windows950", "big5tw"}},
      {"Big5-HKSCS", "ibm-1375_P100-2008", {"hkscs"}},
      {"Shift-JIS", "ibm-943_P15A-2003", {"sjis", "cp932", "windows31j", "mskanji", "windows932"}},
      {"EUC-JP", "EUC-JP", {"ujis"}},
      {"EUC-KR", "windows-949-2000", {"cp949", "uhc", "windows949", "ksc56011987", "ksc5601"}},
      {"Windows-1252", "windows-1252", {"latin1", "iso88591", "cp1252", "ansi"}},
      {"Windows-1251", "windows-1251", {"cp1251"}},
      {"KOI8-R", "KOI8-R", {}},
  };
  return table;
}

std::string letters_and_digits(const std::string& name) {
  std::string out;
  for (unsigned char c : name)
    if (std::isalnum(c)) out += static_cast<char>(std::tolower(c));
  return out;
}

const Row* row_of(const std::string& name) {
  std::string plain = letters_and_digits(name);
  for (const Row& row : rows())
    if (plain == letters_and_digits(row.name) ||
        std::find(row.others.begin(), row.others.end(), plain) != row.others.end())
      return &row;
  return nullptr;
}

struct CloseConverter {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};
using Converter = std::unique_ptr<UConverter, CloseConverter>;

/// Null when ICU has none. Stops at what it cannot decode.
Converter open_converter(const std::string& encoding) {
  const Row* row = row_of(encoding);
  UErrorCode error = U_ZERO_ERROR;
  Converter converter(ucnv_open(row ? row->converter : encoding.c_str(), &error));
  if (U_FAILURE(error)) return nullptr;
  ucnv_setToUCallBack(converter.get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  return U_FAILURE(error) ? nullptr : std::move(converter);
}

/// Appends UTF-16 as UTF-8. A lead surrogate at the end waits in `lead` for its other half.
void append_utf16(std::string& out, const UChar* begin, const UChar* end, char32_t& lead) {
  for (; begin < end; ++begin) {
    char32_t c = *begin;
    if (c >= 0xD800 && c < 0xDC00) {
      lead = c;
      continue;
    }
    if (c >= 0xDC00 && c < 0xE000) c = 0x10000 + ((lead - 0xD800) << 10) + (c - 0xDC00);
    append_utf8(out, c);
  }
}

/// False at bytes that cannot be decoded; `at` is then the offset of the first of them.
bool convert(UConverter* converter, std::string_view bytes, std::string& out, char32_t& lead, bool last,
             size_t& at) {
  constexpr size_t kUnits = 4096;
  UChar units[kUnits];
  const char* source = bytes.data();
  const char* const end = source + bytes.size();
  for (;;) {
    UChar* target = units;
    UErrorCode error = U_ZERO_ERROR;
    ucnv_toUnicode(converter, &target, units + kUnits, &source, end, nullptr, last, &error);
    append_utf16(out, units, target, lead);
    if (error == U_BUFFER_OVERFLOW_ERROR) continue;
    if (U_SUCCESS(error)) return true;
    char invalid[32];
    int8_t length = sizeof invalid;
    UErrorCode ignored = U_ZERO_ERROR;
    ucnv_getInvalidChars(converter, invalid, &length, &ignored);
    auto read = static_cast<size_t>(source - bytes.data());
    auto behind = static_cast<size_t>(std::max<int8_t>(length, 0));
    at = read > behind ? read - behind : 0;
    return false;
  }
}

/// Lines with bytes beyond ASCII, as far as a sample goes: the beginning may be ASCII for long.
std::string_view sample_of(std::string_view bytes, bool& cut) {
  auto high = std::find_if(bytes.begin(), bytes.end(), [](char c) { return (c & 0x80) != 0; });
  auto at = static_cast<size_t>(high - bytes.begin());
  size_t begin = at == 0 ? std::string_view::npos : bytes.rfind('\n', at - 1);
  begin = begin == std::string_view::npos ? 0 : begin + 1;
  if (at - begin > kSampleBytes / 2) begin = at;  // a line that is long before it gets there
  std::string_view sample = bytes.substr(begin, kSampleBytes);
  cut = cut || begin + sample.size() < bytes.size();
  return sample;
}

/// Encodings to try, the likeliest first, with the detector's confidence from 0 to 1.
std::vector<std::pair<std::string, double>> candidates(std::string_view sample) {
  std::vector<std::pair<std::string, double>> found;
  auto add = [&](std::string name, double confidence) {
    if (const Row* row = row_of(name)) name = row->name;
    bool known = std::any_of(found.begin(), found.end(), [&](const auto& one) { return one.first == name; });
    if (!known && !name.starts_with("UTF-") && !name.ends_with("-I")) found.emplace_back(name, confidence);
  };
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<UCharsetDetector, void (*)(UCharsetDetector*)> detector(ucsdet_open(&error), ucsdet_close);
  if (U_SUCCESS(error)) {
    ucsdet_setText(detector.get(), sample.data(), static_cast<int32_t>(sample.size()), &error);
    int32_t count = 0;
    const UCharsetMatch** matches = ucsdet_detectAll(detector.get(), &count, &error);
    for (int32_t i = 0; U_SUCCESS(error) && i < count; ++i) {
      const char* name = ucsdet_getName(matches[i], &error);
      int32_t confidence = ucsdet_getConfidence(matches[i], &error);
      if (U_SUCCESS(error)) add(name, confidence / 100.0);
    }
  }
  for (std::string_view name : kTwoByte) add(std::string(name), 0);
  for (const char* name : {"Windows-1252", "Windows-1251", "KOI8-R"}) add(name, 0);
  return found;
}

/// What decides between encodings that both read well. A Chinese text is hardly ever made of the commonest
/// syllables of Korean by chance, while most codes of Korean are common characters of Chinese.
double prior(const std::string& encoding) {
  if (encoding == "EUC-KR") return 0.1;
  return encoding == "Windows-1252" ? 0.05 : 0;
}

/// Two-byte encodings with a few bytes lost or changed: what the text would be without these.
struct Damaged {
  std::string encoding;
  size_t at = 0;  // the first fault
  double reading = 0;
};
Damaged guess_damaged(std::string_view sample, bool cut) {
  constexpr size_t kShort = 50, kBytesPerFault = 100, kFewFaults = 3, kMostFaults = 20;
  Damaged best;
  auto high = std::count_if(sample.begin(), sample.end(), [](char c) { return (c & 0x80) != 0; });
  if (sample.size() < kShort || high * 3 < std::ssize(sample)) return best;  // Latin has few
  for (std::string_view name : kTwoByte) {
    std::string text;
    size_t first = std::string::npos, faults = 0;
    for (std::string_view rest = sample; !rest.empty() && faults <= kMostFaults; ++faults) {
      size_t fault;
      text += decoded(rest, std::string(name), cut, fault);
      if (fault == std::string::npos) break;
      first = std::min(first, static_cast<size_t>(rest.data() - sample.data()) + fault);
      rest.remove_prefix(fault + 1);
    }
    if (faults == 0 || faults > std::clamp(sample.size() / kBytesPerFault, kFewFaults, kMostFaults)) continue;
    if (double reading = plausibility(text, std::string(name)); reading > best.reading)
      best = {std::string(name), first, reading};
  }
  return best;
}

/// Legacy encodings: what decodes the sample and reads most like writing.
Guess guess_legacy(std::string_view bytes, bool cut, size_t at) {
  std::string_view sample = sample_of(bytes, cut);
  std::string best;
  double best_score = 0, best_reading = 0;
  for (const auto& [name, confidence] : candidates(sample)) {
    size_t fault;
    std::string text = decoded(sample, name, cut, fault);
    if (fault != std::string::npos) continue;
    double reading = plausibility(text, name), score = reading + 0.5 * confidence + prior(name);
    if (score > best_score) best = name, best_score = score, best_reading = reading;
  }
  // Every byte is a letter in some encoding: a fault in a Chinese text must not make a Cyrillic one of it.
  Damaged damaged;
  if (std::find(kTwoByte.begin(), kTwoByte.end(), best) == kTwoByte.end())
    damaged = guess_damaged(sample, cut);
  if (damaged.reading > best_reading + 0.05)
    return {Guess::Kind::kDamaged, damaged.encoding,
            static_cast<size_t>(sample.data() - bytes.data()) + damaged.at};
  if (best_reading < kReadsLikeWriting) return {Guess::Kind::kUnknown, "", at};
  return {Guess::Kind::kKnown, best, 0};
}

/// UTF-16 and UTF-32 without a mark, of bytes that hold NULs.
Guess guess_wide(std::string_view bytes, bool cut, size_t nul) {
  constexpr double kLikeText = 0.7;
  std::string_view sample = bytes.substr(0, kSampleBytes);
  bool part = cut || sample.size() < bytes.size();
  std::string best;
  double best_score = kLikeText;
  for (const char* name : {"UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE"}) {
    size_t fault;
    std::string text = decoded(sample, name, part, fault);
    if (fault != std::string::npos || text.empty() || text.find('\0') != text.npos) continue;
    // ASCII counts as well: most of a text in wide characters may be Latin.
    int64_t ascii = 0, all = 0;
    for (size_t i = 0; i < text.size(); ++all) ascii += next_code_point(text, i) < 0x80;
    auto others = static_cast<double>(all - ascii);
    double score =
        (static_cast<double>(ascii) + plausibility(text, name) * others) / static_cast<double>(all);
    if (plausibility(text, name) < kReadsLikeWriting && others * 3 > static_cast<double>(all)) continue;
    if (score > best_score) best = name, best_score = score;
  }
  if (best.empty()) return {Guess::Kind::kBinary, "", nul};
  return {Guess::Kind::kKnown, best, 0};
}

}  // namespace

std::string encoding_name(const std::string& name) {
  if (const Row* row = row_of(name)) return row->name;
  std::string plain = letters_and_digits(name);
  if (plain == "utf16" || plain == "utf32") return plain == "utf16" ? "UTF-16" : "UTF-32";
  if (plain.empty() || !open_converter(name))
    fail(
        "--encoding {}: unknown encoding; give one such as UTF-8, UTF-16LE, GB18030, Big5, Shift-JIS, "
        "EUC-KR, "
        "Windows-1252 or Windows-1251",
        in_quotes(name));
  return name;
}

Mark byte_order_mark(std::string_view bytes) {
  using namespace std::string_view_literals;
  // The mark of UTF-32LE begins with that of UTF-16LE.
  static const std::pair<std::string_view, const char*> marks[] = {
      {"\xEF\xBB\xBF"sv, "UTF-8"}, {"\xFF\xFE\0\0"sv, "UTF-32LE"}, {"\0\0\xFE\xFF"sv, "UTF-32BE"},
      {"\xFF\xFE"sv, "UTF-16LE"},  {"\xFE\xFF"sv, "UTF-16BE"},     {"\x84\x31\x95\x33"sv, "GB18030"},
  };
  for (const auto& [mark, name] : marks)
    if (bytes.starts_with(mark)) return {name, mark.size()};
  return {};
}

size_t utf8_fault(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    if ((bytes[i] & 0x80) == 0) {
      ++i;
      continue;
    }
    size_t at = i;
    // The text itself may contain U+FFFD, spelled as its three bytes.
    if (next_code_point(bytes, i) == 0xFFFD && bytes.substr(at, i - at) != "\uFFFD") return at;
  }
  return std::string_view::npos;
}

Guess guess_encoding(std::string_view bytes, bool cut) {
  size_t nul = bytes.find('\0'), fault = utf8_fault(bytes);
  if (nul != bytes.npos) return guess_wide(bytes, cut, nul);
  if (cut && fault != bytes.npos && fault >= complete_utf8_prefix(bytes)) fault = bytes.npos;
  if (fault == bytes.npos) return {};
  int64_t good = 0, bad = 0;
  for (size_t i = 0; i < bytes.size();) {
    size_t at = i;
    bool beyond = (bytes[i] & 0x80) != 0;
    bool damaged = next_code_point(bytes, i) == 0xFFFD && bytes.substr(at, i - at) != "\uFFFD";
    (damaged ? bad : good) += beyond;
  }
  if (good >= bad) return {Guess::Kind::kDamaged, "UTF-8", fault};
  return guess_legacy(bytes, cut, fault);
}

std::string guess_fault(const Guess& guess, std::string_view bytes) {
  if (guess.kind == Guess::Kind::kBinary)
    return fmt::format("looks binary (NUL at byte {}); convert it to text first",
                       grouped(static_cast<int64_t>(guess.at)));
  std::string place = fmt::format("byte {} (0x{:02x})", grouped(static_cast<int64_t>(guess.at)),
                                  static_cast<unsigned char>(bytes[guess.at]));
  if (guess.kind == Guess::Kind::kDamaged)
    return fmt::format(
        "is {}, but not at {}; repair it, or name the encoding with --encoding if it is another one",
        guess.encoding, place);
  return fmt::format("is not UTF-8 at {}, and no other encoding fits; name the encoding with --encoding",
                     place);
}

struct Decoder::State {
  Converter converter;
  std::string encoding, source;
  bool named_by_user;
  char32_t lead = 0;
  size_t before = 0;  // bytes of earlier pieces
};

Decoder::Decoder(const std::string& encoding, std::string source, bool named_by_user, size_t offset)
    : state_(new State{open_converter(encoding), encoding, std::move(source), named_by_user, 0, offset}) {
  if (!state_->converter) fail("--encoding {}: unknown encoding", in_quotes(encoding));
}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;

void Decoder::decode(std::string_view bytes, std::string& out, bool last) {
  size_t at = 0;
  if (!convert(state_->converter.get(), bytes, out, state_->lead, last, at))
    fail("{}: byte {} cannot be decoded as {}{}", state_->source,
         grouped(static_cast<int64_t>(state_->before + at)), state_->encoding,
         state_->named_by_user
             ? ", the encoding that --encoding names; give another one"
             : ", which the text before it is in; repair it, or name the encoding with --encoding");
  state_->before += bytes.size();
}

std::string decoded(std::string_view bytes, const std::string& encoding, bool cut, size_t& fault) {
  Converter converter = open_converter(encoding);
  std::string text;
  char32_t lead = 0;
  fault = 0;
  if (!converter || convert(converter.get(), bytes, text, lead, !cut, fault)) fault = std::string::npos;
  if (!converter) fault = 0;
  return text;
}

void normalise_line_ends(std::string& text) {
  size_t first = text.find('\r');
  if (first == std::string::npos) return;
  size_t out = first;
  for (size_t i = first; i < text.size(); ++i) {
    if (text[i] == '\r') {
      text[out++] = '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      text[out++] = text[i];
    }
  }
  text.resize(out);
}

}  // namespace longspan::documents
