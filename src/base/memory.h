// How much memory the system could still give this process: the one answer that every check uses.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace longspan {

/// Bytes that this process could take without others losing theirs: MemAvailable of /proc/meminfo, or what is
/// left below the memory limit of its control group or of any group above it (version 1 or 2; page cache
/// counts as free, since it can be read again), whichever is least. Nothing when the system says neither.
/// `root` is the folder that holds proc/ and sys/: tests pass one of their own.
std::optional<int64_t> available_memory(const std::filesystem::path& root = "/");

}  // namespace longspan
