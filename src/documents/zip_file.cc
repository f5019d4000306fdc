#include "documents/zip_file.h"

#include <zip.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "documents/limits.h"

namespace longspan::documents {

struct ZipFile::State {
  std::string source;
  zip_t* archive = nullptr;
  size_t unpacked = 0;
};

ZipFile::ZipFile(std::string_view bytes, std::string source)
    : state_(new State{.source = std::move(source)}) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* memory = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  if (memory) state_->archive = zip_open_from_source(memory, ZIP_RDONLY, &error);
  std::string why = state_->archive ? "" : zip_error_strerror(&error);
  if (!state_->archive && memory) zip_source_free(memory);
  zip_error_fini(&error);
  if (!state_->archive) fail("{}: is a damaged ZIP archive ({}); is it complete?", state_->source, why);
}

ZipFile::~ZipFile() { zip_discard(state_->archive); }

bool ZipFile::has(const std::string& name) const {
  return zip_name_locate(state_->archive, name.c_str(), 0) >= 0;
}

std::string ZipFile::read(const std::string& name) {
  const std::string where = fmt::format("{}: its part {}", state_->source, in_quotes(name));
  zip_int64_t index = zip_name_locate(state_->archive, name.c_str(), 0);
  if (index < 0) fail("{} is missing; is the file complete?", where);
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat_index(state_->archive, static_cast<zip_uint64_t>(index), 0, &stat) == 0 &&
      (stat.valid & ZIP_STAT_ENCRYPTION_METHOD) && stat.encryption_method != ZIP_EM_NONE)
    fail("{} is encrypted; save the document without its password first", where);
  std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(
      zip_fopen_index(state_->archive, static_cast<zip_uint64_t>(index), 0), zip_fclose);
  if (!file) fail("{} cannot be unpacked: {}", where, zip_strerror(state_->archive));
  // The size that the archive declares is not believed.
  std::string out;
  for (;;) {
    char buffer[1 << 16];
    zip_int64_t got = zip_fread(file.get(), buffer, sizeof buffer);
    if (got < 0) fail("{} is damaged: {}", where, zip_file_strerror(file.get()));
    if (got == 0) return out;
    out.append(buffer, static_cast<size_t>(got));
    state_->unpacked += static_cast<size_t>(got);
    if (out.size() > kMostPartBytes || state_->unpacked > kMostUnpackedBytes)
      fail("{} unpacks to more than {}, the most that is read", where,
           human_bytes(
               static_cast<double>(out.size() > kMostPartBytes ? kMostPartBytes : kMostUnpackedBytes)));
  }
}

std::vector<std::string> ZipFile::names(size_t most) const {
  std::vector<std::string> all;
  zip_int64_t count =
      std::min<zip_int64_t>(zip_get_num_entries(state_->archive, 0), static_cast<zip_int64_t>(most));
  for (zip_int64_t i = 0; i < count; ++i)
    if (const char* name = zip_get_name(state_->archive, static_cast<zip_uint64_t>(i), 0))
      all.emplace_back(name);
  return all;
}

}  // namespace longspan::documents
