#include "train/metrics.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

template <typename T>
void append_raw(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);  // little-endian, as the format
}

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// Wire types of protobuf.
enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
void append_key(std::string& out, int field, Wire wire) {
  out += static_cast<char>(field << 3 | static_cast<int>(wire));
}
void append_bytes(std::string& out, int field, std::string_view bytes) {
  append_key(out, field, kBytes);
  append_varint(out, bytes.size());
  out += bytes;
}

std::string record(std::string_view data) {
  std::string out;
  append_raw(out, static_cast<uint64_t>(data.size()));
  append_raw(out, masked_crc32c(out));
  out += data;
  append_raw(out, masked_crc32c(data));
  return out;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The lines of steps up to `step`; a last line that was cut off by a kill is dropped, too.
std::string lines_until(const fs::path& path, int64_t step) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return "";
  std::string text = read_file(path), kept;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    std::string line = text.substr(at, end + 1 - at);
    Json json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.contains("step") && json["step"].is_number() &&
        json["step"].get<int64_t>() <= step)
      kept += line;
    at = end + 1;
  }
  return kept;
}

/// NaN where JSON has null or nothing.
double number_of(const Json& json, const char* key) {
  auto found = json.find(key);
  bool known = found != json.end() && !found->is_null();
  return known ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

StepReport step_from_json(const Json& json) {
  StepReport r;
  r.step = json.at("step");
  r.steps = json.value("steps", int64_t{0});
  r.stage = json.value("stage", "");
  r.tokens = json.value("tokens", int64_t{0});
  r.memory = json.value("memory", int64_t{0});
  r.suspicious = json.value("suspicious", std::vector<std::string>());
  for (auto [key, field] : {std::pair("loss", &r.loss),
                            {"short_loss", &r.short_loss},
                            {"divergence", &r.divergence},
                            {"grad_norm", &r.grad_norm},
                            {"lr", &r.lr},
                            {"tokens_per_s", &r.tokens_per_s},
                            {"mfu", &r.mfu},
                            {"seconds", &r.seconds},
                            {"seconds_left", &r.seconds_left}})
    *field = number_of(json, key);
  return r;
}

ValidationReport validation_from_json(const Json& json) {
  ValidationReport r{json.at("step"), {}};
  for (const auto& [length, loss] : json.at("validation").items())
    r.loss.emplace_back(std::stoll(length), loss.is_null() ? std::nan("") : loss.get<double>());
  return r;
}

FILE* open_file(const fs::path& path, const char* mode) {
  FILE* file = std::fopen(path.c_str(), mode);
  if (!file) fail("{}: cannot be written: {}", path.string(), std::strerror(errno));
  return file;
}

}  // namespace

Json step_json(const StepReport& r) {
  Json json = {{"step", r.step},
               {"steps", r.steps},
               {"stage", r.stage},
               {"loss", r.loss},
               {"grad_norm", r.grad_norm},
               {"lr", r.lr},
               {"tokens", r.tokens},
               {"tokens_per_s", r.tokens_per_s},
               {"mfu", r.mfu},
               {"seconds", r.seconds},
               {"memory", r.memory},
               {"seconds_left", r.seconds_left}};
  if (std::isfinite(r.short_loss)) json["short_loss"] = r.short_loss;
  if (std::isfinite(r.divergence)) json["divergence"] = r.divergence;
  if (!r.suspicious.empty()) json["suspicious"] = r.suspicious;
  return json;
}

Json validation_json(const ValidationReport& r) {
  Json losses = Json::object();
  for (const auto& [length, loss] : r.loss) losses[std::to_string(length)] = loss;
  return {{"step", r.step}, {"validation", losses}};
}

MetricsHistory read_metrics(const fs::path& file) {
  MetricsHistory history;
  std::istringstream lines(read_file(file));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    std::string where = fmt::format("{}:{}", file.string(), ++number);
    Json json = parse_json(line, where);
    try {
      if (json.contains("validation"))
        history.validation.push_back(validation_from_json(json));
      else
        history.steps.push_back(step_from_json(json));
    } catch (const std::exception& e) {  // a value of another type, or a length that is not a number
      fail("{}: is not a step of a training run: {}", where, e.what());
    }
  }
  return history;
}

uint32_t crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (char c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ crc >> 8;
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) {
  uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

std::string tensorboard_event(double seconds, int64_t step,
                              const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary, event;
  for (const auto& [tag, value] : scalars) {
    std::string one;
    append_bytes(one, 1, tag);
    append_key(one, 2, kFixed32);
    append_raw(one, static_cast<float>(value));
    append_bytes(summary, 1, one);
  }
  append_key(event, 1, kFixed64);
  append_raw(event, seconds);
  append_key(event, 2, kVarint);
  append_varint(event, static_cast<uint64_t>(step));
  append_bytes(event, 5, summary);
  return record(event);
}

Metrics::Metrics(const fs::path& output, int64_t step)
    : lines_path_(output / "metrics.jsonl"),
      events_path_(output / "tensorboard" /
                   fmt::format("events.out.tfevents.{:.0f}.longspan.{}", std::floor(now()), ::getpid())) {
  std::error_code error;
  fs::create_directories(events_path_.parent_path(), error);
  if (error) fail("{}: cannot be made: {}", events_path_.parent_path().string(), error.message());
  write_file_atomic(lines_path_, step > 0 ? lines_until(lines_path_, step) : "");
  lines_ = open_file(lines_path_, "ab");
  events_ = open_file(events_path_, "wb");
  std::string first;
  append_key(first, 1, kFixed64);
  append_raw(first, now());
  append_bytes(first, 3, "brain.Event:2");
  write(events_, record(first), events_path_);
}

Metrics::~Metrics() {
  for (FILE* file : {lines_, events_})
    if (file) std::fclose(file);
}

void Metrics::write(FILE* file, const std::string& bytes, const fs::path& path) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || std::fflush(file) != 0)
    fail("{}: writing failed: {}", path.string(), std::strerror(errno));
}

void Metrics::add(const StepReport& r) {
  write(lines_, dump_json(step_json(r)) + "\n", lines_path_);
  std::vector<std::pair<std::string, double>> scalars = {{"train/loss", r.loss},
                                                         {"train/grad_norm", r.grad_norm},
                                                         {"train/lr", r.lr},
                                                         {"speed/tokens_per_s", r.tokens_per_s},
                                                         {"speed/mfu", r.mfu}};
  if (std::isfinite(r.short_loss)) scalars.emplace_back("train/short_loss", r.short_loss);
  if (std::isfinite(r.divergence)) scalars.emplace_back("train/divergence", r.divergence);
  write(events_, tensorboard_event(now(), r.step, scalars), events_path_);
}

void Metrics::add(const ValidationReport& r) {
  write(lines_, dump_json(validation_json(r)) + "\n", lines_path_);
  std::vector<std::pair<std::string, double>> scalars;
  for (const auto& [length, loss] : r.loss)
    scalars.emplace_back(fmt::format("validation/loss_{}", length), loss);
  write(events_, tensorboard_event(now(), r.step, scalars), events_path_);
}

}  // namespace longspan
