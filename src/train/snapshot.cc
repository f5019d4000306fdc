// A snapshot: 8 letters, the length of a JSON header, the header (state, names and sizes), then for each
// parameter its values, first and second moments in F32, and finally the xxHash64 of everything before.
#include "train/snapshot.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr char kMagic[] = "LSTRAIN1";
constexpr size_t kMagicBytes = 8;
constexpr size_t kMostHeaderBytes = size_t{1} << 28;

/// A file that is written, digested and synced. Removes what it wrote unless it was kept.
class Writer {
 public:
  explicit Writer(const fs::path& path)
      : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    if (file_ < 0) fail("{}: cannot be written: {}", path.string(), std::strerror(errno));
    XXH64_reset(digest_.get(), 0);
  }
  ~Writer() {
    if (file_ < 0) return;
    ::close(file_);
    ::unlink(path_.c_str());
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void write(const void* data, size_t bytes) {
    XXH64_update(digest_.get(), data, bytes);
    put(data, bytes);
  }

  void keep_as(const fs::path& name) {
    uint64_t digest = XXH64_digest(digest_.get());
    put(&digest, sizeof digest);
    if (::fsync(file_) != 0) refuse();
    int closed = ::close(file_);
    file_ = -1;
    if (closed != 0 || ::rename(path_.c_str(), name.c_str()) != 0) {
      ::unlink(path_.c_str());
      refuse();
    }
    int folder = ::open(name.parent_path().c_str(), O_RDONLY | O_CLOEXEC);
    if (folder >= 0) ::fsync(folder), ::close(folder);
  }

 private:
  [[noreturn]] void refuse() const {
    fail("{}: the snapshot cannot be written: {}; older ones are as they were", path_.string(),
         std::strerror(errno));
  }
  void put(const void* data, size_t bytes) {
    const auto* at = static_cast<const char*>(data);
    while (bytes > 0) {
      ssize_t n = ::write(file_, at, std::min(bytes, size_t{1} << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) refuse();
      at += n, bytes -= static_cast<size_t>(n);
    }
  }

  fs::path path_;
  int file_;
  std::unique_ptr<XXH64_state_t, decltype(&XXH64_freeState)> digest_{XXH64_createState(), XXH64_freeState};
};

size_t tensor_bytes(const Tensor& t) { return static_cast<size_t>(t.rows() * t.cols()) * sizeof(float); }

Json header_of(const RunState& s, const std::vector<Parameter>& parameters) {
  Json list = Json::array();
  for (const Parameter& p : parameters) list.push_back({p.name, p.value.rows(), p.value.cols()});
  return {{"step", s.step},
          {"stage", s.stage},
          {"stage_step", s.stage_step},
          {"rows", s.rows},
          {"short_rows", s.short_rows},
          {"tokens", s.tokens},
          {"recipe_digest", s.recipe_digest},
          {"history", s.history},
          {"parameters", list}};
}

/// The count under `key` of a header. Json::exception when there is none.
int64_t count_at(const Json& header, const char* key, const fs::path& file) {
  const Json& value = header.at(key);
  if (!value.is_number_integer() || value.get<int64_t>() < 0)
    fail("{}: the snapshot's header has {} = {}, which is not a count", file.string(), key,
         excerpt_json(value));
  return value.get<int64_t>();
}

RunState state_of(const Json& header, const fs::path& file) {
  auto count = [&](const char* key) { return count_at(header, key, file); };
  RunState s;
  s.step = count("step"), s.stage = count("stage"), s.stage_step = count("stage_step");
  s.rows = count("rows"), s.short_rows = count("short_rows"), s.tokens = count("tokens");
  const Json& digest = header.at("recipe_digest");
  if (!digest.is_number_unsigned())
    fail("{}: the snapshot's header has a recipe_digest that is not a number", file.string());
  s.recipe_digest = digest, s.history = header.at("history");
  return s;
}

/// The header and the floats after it, of a file whose digest is correct.
struct Opened {
  MappedFile file;
  Json header;
  std::span<const std::byte> data;
};

Opened open_snapshot(const fs::path& path) {
  Opened o{MappedFile(path), {}, {}};
  std::span<const std::byte> bytes = o.file.bytes();
  uint64_t header = 0, digest = 0;
  size_t least = kMagicBytes + sizeof header + sizeof digest;
  if (bytes.size() < least || std::memcmp(bytes.data(), kMagic, kMagicBytes) != 0)
    fail("{}: is no snapshot of a training run", path.string());
  std::memcpy(&header, bytes.data() + kMagicBytes, sizeof header);
  std::memcpy(&digest, bytes.data() + bytes.size() - sizeof digest, sizeof digest);
  if (XXH64(bytes.data(), bytes.size() - sizeof digest, 0) != digest ||
      header > std::min(kMostHeaderBytes, bytes.size() - least))
    fail("{}: the snapshot is damaged: its digest is another one", path.string());
  std::span<const std::byte> text = bytes.subspan(kMagicBytes + sizeof header, header);
  o.header = parse_json({reinterpret_cast<const char*>(text.data()), text.size()}, path.string());
  o.data =
      bytes.subspan(kMagicBytes + sizeof header + header, bytes.size() - least - static_cast<size_t>(header));
  return o;
}

/// Error unless the snapshot has these parameters.
void check_parameters(const Opened& o, const fs::path& path, const std::vector<Parameter>& parameters) {
  size_t bytes = 0;
  for (const Parameter& p : parameters) bytes += 3 * tensor_bytes(p.value);
  auto list = o.header.find("parameters");
  if (list == o.header.end() || *list != header_of({}, parameters).at("parameters") || o.data.size() != bytes)
    fail("{}: the snapshot is of other parameters: model or [trained] of the recipe changed", path.string());
}

void write_tensor(Writer& out, Device& device, const Tensor& t) {
  Arena copy;
  out.write(to_host(device, t, copy).data, tensor_bytes(t));
}

fs::path name_of(const fs::path& folder, int64_t step) {
  return folder / fmt::format("step-{:08}.snapshot", step);
}

}  // namespace

Moments make_moments(const TrainingModel& model) {
  Moments m;
  m.memory = Arena(*model.model.device);
  for (const Parameter& p : model.parameters)
    for (std::vector<Tensor>* list : {&m.first, &m.second}) {
      Tensor t = m.memory.matrix("moments", DType::F32, p.value.rows(), p.value.cols());
      list->push_back(p.value.dims == 1 ? t.viewed(DType::F32, p.value.cols()) : t);
    }
  return m;
}

void write_snapshot(const fs::path& folder, const RunState& state, const TrainingModel& model,
                    const Moments& moments, int64_t kept) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot be made: {}", folder.string(), error.message());
  std::string header = dump_json(header_of(state, model.parameters));
  header.resize((header.size() + 7) / 8 * 8, ' ');
  uint64_t length = header.size();
  {
    Writer out(folder / "next.part");
    out.write(kMagic, kMagicBytes);
    out.write(&length, sizeof length);
    out.write(header.data(), header.size());
    for (size_t i = 0; i < model.parameters.size(); ++i)
      for (const Tensor& t : {model.parameters[i].value, moments.first[i], moments.second[i]})
        write_tensor(out, *model.model.device, t);
    out.keep_as(name_of(folder, state.step));
  }
  std::vector<fs::path> all = snapshots(folder);
  for (size_t i = static_cast<size_t>(kept); i < all.size(); ++i) fs::remove(all[i], error);
}

std::vector<fs::path> snapshots(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.ends_with(".snapshot")) found.push_back(entry.path());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

RunState read_snapshot(const fs::path& file, TrainingModel& model, Moments& moments) {
  Opened o = open_snapshot(file);
  try {
    check_parameters(o, file, model.parameters);
    RunState state = state_of(o.header, file);  // before anything is changed
    const std::byte* at = o.data.data();
    for (size_t i = 0; i < model.parameters.size(); ++i)
      for (const Tensor& t : {model.parameters[i].value, moments.first[i], moments.second[i]}) {
        model.model.device->upload(t.data, at, static_cast<int64_t>(tensor_bytes(t)));
        at += tensor_bytes(t);
      }
    parameters_changed(model);
    return state;
  } catch (const Json::exception& e) {
    fail("{}: the snapshot's header lacks a field: {}", file.string(), excerpt(e.what(), 300));
  }
}

void average_snapshots(const std::vector<fs::path>& files, TrainingModel& model) {
  std::vector<Opened> opened;
  for (const fs::path& file : files) {
    opened.push_back(open_snapshot(file));
    check_parameters(opened.back(), file, model.parameters);
  }
  std::vector<float> piece;
  size_t offset = 0;
  for (Parameter& p : model.parameters) {
    auto n = static_cast<size_t>(p.value.rows() * p.value.cols());
    std::vector<double> sum(n, 0);
    piece.resize(n);
    for (const Opened& o : opened) {
      std::memcpy(piece.data(), o.data.data() + offset, n * sizeof(float));
      for (size_t i = 0; i < n; ++i) sum[i] += piece[i];
    }
    for (size_t i = 0; i < n; ++i) piece[i] = static_cast<float>(sum[i] / static_cast<double>(files.size()));
    model.model.device->upload(p.value, std::span<const float>(piece));
    offset += 3 * n * sizeof(float);
  }
  parameters_changed(model);
}

}  // namespace longspan
