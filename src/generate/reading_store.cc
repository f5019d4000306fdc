// Files of a store: KEY-TEXT.reading, where KEY digests what decides the keys and values and TEXT the tokens;
// KEY-TEXT.PID.part while it is written, locked by its writer, so that one without a lock was left by a
// process that died. `lock` orders those who make room. Whoever reads needs no lock: a reading that is
// removed meanwhile stays open.
#include "generate/reading_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"
#include "generate/model_digest.h"
#include "generate/reading_file.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr const char* kEnding = ".reading";
constexpr const char* kPartEnding = ".part";

std::string hex(uint64_t digest) { return fmt::format("{:016x}", digest); }

uint64_t digest_of(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t digest_of(std::span<const int32_t> ids) { return XXH3_64bits(ids.data(), ids.size_bytes()); }

/// Every number of a spec, exactly.
std::string spec_text(const PositionSpec& spec) {
  std::string text;
  auto number = [&](double value) { text += fmt::format("{:a},", value); };
  auto list = [&](const std::vector<double>& values) {
    for (double value : values) number(value);
    text += ";";
  };
  auto map = [&](const PositionMap& m) {
    list({m.modulus, m.divisor, m.offset, m.cap, m.floor ? 1.0 : 0.0});
  };
  list(spec.inv_freq);
  number(spec.attention_scale);
  for (const Zone& zone : spec.zones) {
    number(static_cast<double>(zone.from));
    map(zone.query);
    map(zone.key);
    list(zone.inv_freq);
  }
  list(spec.decay);
  list(spec.slopes);
  return text + fmt::format("{},{}", spec.chunk, spec.log_n);
}

/// A file descriptor and the lock on it, both given up at the end.
class Locked {
 public:
  Locked(const fs::path& path, int flags) : file_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    if (file_ < 0) fail("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  }
  ~Locked() {
    if (file_ >= 0) ::close(file_);
  }
  Locked(Locked&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  Locked& operator=(Locked&&) = delete;

  void wait() const {
    while (::flock(file_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  int file() const { return file_; }

 private:
  int file_;
};

Locked lock_folder(const fs::path& folder) {
  Locked lock(folder / "lock", O_RDWR | O_CREAT);
  lock.wait();
  return lock;
}

struct Entry {
  fs::path path;
  int64_t bytes = 0;
  struct timespec used {};
};

/// The files with that ending, least recently used first.
std::vector<Entry> entries(const fs::path& folder, std::string_view ending) {
  std::vector<Entry> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    struct stat st {};
    if (at->path().native().ends_with(ending) && ::lstat(at->path().c_str(), &st) == 0 && S_ISREG(st.st_mode))
      found.push_back({at->path(), st.st_size, st.st_mtim});
  }
  std::sort(found.begin(), found.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  return found;
}

/// Removes what writers left that were killed. The folder is locked.
void remove_abandoned(const fs::path& folder) {
  for (const Entry& part : entries(folder, kPartEnding)) {
    int file = ::open(part.path.c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0) continue;
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) ::unlink(part.path.c_str());
    ::close(file);
  }
}

void sync_folder(const fs::path& folder) {
  int file = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ::fsync(file);
  ::close(file);
}

/// A file that may hold a reading, and what its header says.
struct Candidate {
  MappedFile file;
  ReadingHeader header;
  int64_t tokens = 0;  // that can be used
};

/// Tells the system that these bytes of a mapped file are not needed any more: else a document would count
/// twice while it is restored.
void forget(std::span<const std::byte> bytes) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  auto first = (reinterpret_cast<uintptr_t>(bytes.data()) + page - 1) / page * page,
       last = reinterpret_cast<uintptr_t>(bytes.data() + bytes.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

/// The pages of the first tokens, checked, to the sequence.
void restore(const Engine& engine, Sequence& sequence, const Candidate& c) {
  auto bytes = c.file.bytes();
  ::madvise(const_cast<std::byte*>(bytes.data()), bytes.size(), MADV_WILLNEED);
  KvPool& pool = *sequence.cache().pool();
  std::span<const int32_t> pages = sequence.cache().pages();
  auto fill = [&](int64_t i) {
    auto page = reading_page(bytes, c.header, i, c.file.path().string());
    pool.upload(pages[static_cast<size_t>(i)], page.data());
    forget(page);
  };
  if (engine.model().device->is_host()) return parallel_for(std::ssize(pages), fill);
  for (int64_t i = 0; i < std::ssize(pages); ++i) fill(i);
}

}  // namespace

std::string reading_obstacle(const PositionConfig& position) {
  if (!keys_depend_on_history(position)) return {};
  return fmt::format(
      "what was read under {} with length=current is not kept: its keys depend on how the text was fed",
      position.method);
}

int64_t reusable_tokens(std::span<const int32_t> held, std::span<const int32_t> ids, int64_t document,
                        int64_t chunk) {
  auto text = ids.first(static_cast<size_t>(document));
  int64_t common = std::mismatch(text.begin(), text.end(), held.begin(), held.end()).first - text.begin();
  return common == document && std::ssize(held) == document ? document : common / chunk * chunk;
}

ReadingStore::ReadingStore(const Engine& engine, fs::path folder, int64_t limit)
    : engine_(engine), folder_(std::move(folder)), limit_(limit) {
  std::error_code error;
  bool made = fs::create_directories(folder_, error);
  if (error) fail("{}: cannot be created: {}", folder_.string(), error.message());
  if (!fs::is_directory(folder_, error)) fail("{}: is not a directory", folder_.string());
  // The tokens of documents are readable in its files.
  if (made) fs::permissions(folder_, fs::perms::owner_all, error);
}

std::string ReadingStore::key(const Sequence& sequence) {
  if (model_digest_.empty()) model_digest_ = model_digest(engine_, folder_ / "models.json");
  const KvLayout& layout = sequence.cache().pool()->layout();
  Json key = {{"version", kReadingVersion},
              {"model", model_digest_},
              {"position", describe(sequence.position())},
              {"spec", hex(digest_of(spec_text(sequence.spec())))},
              {"cache", describe(layout.types)},
              {"layers", layout.layers},
              {"heads", layout.heads},
              {"head_dim", layout.head_dim},
              {"key_copies", layout.key_copies},
              {"compute", name(engine_.model().compute)},
              {"kernels", engine_.model().kernels().name},
              {"threads", threads()},
              {"chunk", engine_.options().chunk}};
  if (engine_.model().sparse > 0) key["sparse"] = engine_.model().sparse;
  return dump_json(key);
}

ReadingStore::Found ReadingStore::find(Sequence& sequence, std::span<const int32_t> ids, int64_t document,
                                       int64_t held) {
  Found found;
  auto remove = [&](const fs::path& path, const Error& e) {
    found.remarks.push_back(std::string(e.what()) + "; the document is read again");
    ::unlink(path.c_str());
  };
  const std::string wanted = key(sequence), prefix = hex(digest_of(wanted)) + "-";
  std::vector<Candidate> candidates;
  for (const Entry& entry : entries(folder_, kEnding)) {
    if (!entry.path.filename().native().starts_with(prefix)) continue;
    Candidate c;
    try {
      c.file = MappedFile(entry.path);
    } catch (const Error&) {
      continue;  // removed by another process
    }
    try {
      c.header = parse_reading(c.file.bytes(), entry.path.string());
    } catch (const Error& e) {
      remove(entry.path, e);
      continue;
    }
    c.tokens = reusable_tokens(c.header.ids, ids, document, engine_.options().chunk);
    if (c.header.key == wanted && c.tokens > held) candidates.push_back(std::move(c));
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.tokens > b.tokens; });
  for (const Candidate& c : candidates) {
    sequence.truncate(0);
    sequence.adopt(ids.first(static_cast<size_t>(c.tokens)));
    try {
      restore(engine_, sequence, c);
    } catch (const Error& e) {
      sequence.truncate(0);
      remove(c.file.path(), e);
      continue;
    }
    ::utimensat(AT_FDCWD, c.file.path().c_str(), nullptr, 0);
    found.tokens = c.tokens;
    break;
  }
  return found;
}

/// Removes the least recently used readings until `bytes` more fit; `spared` is about to be replaced. The
/// folder is locked.
void ReadingStore::make_room(int64_t bytes, const fs::path& spared) const {
  if (bytes > limit_)
    fail("{} for what was read, but {} keeps at most {}; raise that with --cache-size",
         human_bytes(static_cast<double>(bytes)), folder_.string(), human_bytes(static_cast<double>(limit_)));
  std::vector<Entry> kept = entries(folder_, kEnding);
  int64_t total = bytes;
  for (const Entry& entry : kept) total += entry.path == spared ? 0 : entry.bytes;
  for (const Entry& entry : kept) {
    if (total <= limit_) break;
    if (entry.path == spared) continue;
    ::unlink(entry.path.c_str());
    total -= entry.bytes;
  }
}

void ReadingStore::keep(const Sequence& sequence, int64_t tokens) {
  assert(tokens > 0 && tokens <= sequence.cache().length());
  const KvPool& pool = *sequence.cache().pool();
  ReadingHeader header{.key = key(sequence),
                       .ids = {sequence.ids().begin(), sequence.ids().begin() + tokens},
                       .page_bytes = pool.layout().page_bytes(),
                       .digests = {}};
  std::string stem = hex(digest_of(header.key)) + "-" + hex(digest_of(std::span<const int32_t>(header.ids)));
  fs::path target = folder_ / (stem + kEnding),
           part = folder_ / fmt::format("{}.{}{}", stem, ::getpid(), kPartEnding);
  int64_t pages = pages_for(tokens),
          bytes = reading_bytes(header.key.size(), tokens, pages, header.page_bytes);
  std::optional<Locked> writing;
  {
    Locked lock = lock_folder(folder_);
    remove_abandoned(folder_);
    make_room(bytes, target);
    auto space = fs::space(folder_);
    // Full disks are slow, and other programs want to write, too.
    if (static_cast<double>(space.available) < 1.05 * static_cast<double>(bytes))
      fail("{} for what was read, but the disk of {} has only {} left",
           human_bytes(static_cast<double>(bytes)), folder_.string(),
           human_bytes(static_cast<double>(space.available)));
    writing.emplace(part, O_RDWR | O_CREAT | O_TRUNC);
    writing->wait();
  }
  try {
    write_reading(
        writing->file(), header, pages,
        [&](int64_t i, std::byte* to) {
          pool.download(to, sequence.cache().pages()[static_cast<size_t>(i)]);
        },
        part.string());
    Locked lock = lock_folder(folder_);
    make_room(bytes, target);
    if (::rename(part.c_str(), target.c_str()) != 0)
      fail("{}: cannot be put in place: {}", target.string(), std::strerror(errno));
  } catch (...) {
    ::unlink(part.c_str());
    throw;
  }
  sync_folder(folder_);
}

}  // namespace longspan
