#include "base/compressed.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr int kWindowLog = 27;                           // what `zstd -19 --long=27` needs
constexpr uint64_t kMostXzMemory = uint64_t{256} << 20;  // `xz -9` needs 65 MiB
constexpr size_t kMostUnpackedBytes = size_t{1} << 30;
constexpr size_t kChunk = size_t{1} << 17;

/// Compressed bytes, from a file or from memory.
struct Source {
  std::string name;
  std::function<std::string_view()> more;  // empty at the end
  int64_t read = 0;                        // bytes handed out so far

  std::string_view next() {
    std::string_view bytes = more();
    read += static_cast<int64_t>(bytes.size());
    return bytes;
  }
};

using OnBytes = std::function<bool(std::string_view)>;  // false ends the reading

/// A file is a sequence of frames.
void read_zstd(Source& source, const OnBytes& body) {
  struct Free {
    void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kWindowLog);
  std::vector<char> out(ZSTD_DStreamOutSize());
  size_t expected = 0;  // 0 between frames
  for (std::string_view in = source.next(); !in.empty(); in = source.next()) {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    size_t written = 0;
    // When the output buffer is full, more may be waiting inside the decoder.
    while (input.pos < input.size || written == out.size()) {
      ZSTD_outBuffer output{out.data(), out.size(), 0};
      expected = ZSTD_decompressStream(context.get(), &output, &input);
      if (ZSTD_isError(expected))
        fail("{}: is damaged zstd near byte {}: {}", source.name,
             source.read - static_cast<int64_t>(input.size - input.pos), ZSTD_getErrorName(expected));
      written = output.pos;
      if (written > 0 && !body({out.data(), written})) return;
      if (expected == 0 && input.pos == input.size) break;
    }
  }
  if (expected != 0)
    fail("{}: ends at byte {} in the middle of a zstd frame; is it complete?", source.name, source.read);
}

const char* xz_fault(lzma_ret code) {
  switch (code) {
    case LZMA_FORMAT_ERROR:
      return "it does not begin like xz";
    case LZMA_OPTIONS_ERROR:
      return "it uses a filter unknown here";
    case LZMA_MEMLIMIT_ERROR:
      return "it asks for more than 256 MiB of memory";
    case LZMA_MEM_ERROR:
      return "there is not enough memory";
    default:
      return "its bytes do not fit together";
  }
}

/// A file is a sequence of streams; their checksums are verified.
void read_xz(Source& source, const OnBytes& body) {
  lzma_stream stream = LZMA_STREAM_INIT;
  std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> end(&stream, lzma_end);
  if (lzma_stream_decoder(&stream, kMostXzMemory, LZMA_CONCATENATED) != LZMA_OK)
    fail("{}: the xz decoder could not be set up: is there enough memory?", source.name);
  std::vector<char> out(kChunk);
  bool ended = false;
  while (!ended) {
    std::string_view in = source.next();
    stream.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream.avail_in = in.size();
    do {
      stream.next_out = reinterpret_cast<uint8_t*>(out.data());
      stream.avail_out = out.size();
      lzma_ret code = lzma_code(&stream, in.empty() ? LZMA_FINISH : LZMA_RUN);
      ended = code == LZMA_STREAM_END;
      if (code == LZMA_BUF_ERROR && in.empty())
        fail("{}: ends at byte {} in the middle of xz data; is it complete?", source.name, source.read);
      if (code != LZMA_OK && code != LZMA_BUF_ERROR && !ended)
        fail("{}: is damaged xz near byte {}: {}", source.name,
             source.read - static_cast<int64_t>(stream.avail_in), xz_fault(code));
      size_t written = out.size() - stream.avail_out;
      if (written > 0 && !body({out.data(), written})) return;
    } while (!ended && (stream.avail_in > 0 || stream.avail_out == 0 || in.empty()));
  }
}

/// A file is a sequence of members, each with its checksum. Zeros that pad a tape's block may follow.
void read_gzip(Source& source, const OnBytes& body) {
  constexpr int kGzipOnly = 16;
  z_stream stream{};
  if (inflateInit2(&stream, MAX_WBITS + kGzipOnly) != Z_OK)
    fail("{}: the gzip decoder could not be set up: is there enough memory?", source.name);
  std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  std::vector<char> out(kChunk);
  bool inside = true;  // a member
  for (std::string_view in = source.next(); !in.empty(); in = source.next()) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream.avail_in = static_cast<uInt>(in.size());
    bool full = false;  // more may be waiting inside the decoder
    while (stream.avail_in > 0 || full) {
      if (!inside && *stream.next_in == 0) {
        ++stream.next_in, --stream.avail_in;
        continue;
      }
      if (!inside) inflateReset(&stream);
      stream.next_out = reinterpret_cast<Bytef*>(out.data());
      stream.avail_out = static_cast<uInt>(out.size());
      int code = inflate(&stream, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        fail("{}: is damaged gzip near byte {}: {}", source.name,
             source.read - static_cast<int64_t>(stream.avail_in),
             stream.msg ? stream.msg : "its bytes do not fit together");
      inside = code != Z_STREAM_END;
      full = inside && stream.avail_out == 0;
      size_t written = out.size() - stream.avail_out;
      if (written > 0 && !body({out.data(), written})) return;
    }
  }
  if (inside)
    fail("{}: ends at byte {} in the middle of gzip data; is it complete?", source.name, source.read);
}

/// A file is a sequence of streams, as parallel compressors write them.
void read_bzip2(Source& source, const OnBytes& body) {
  bz_stream stream{};
  std::unique_ptr<bz_stream, int (*)(bz_stream*)> end(nullptr, BZ2_bzDecompressEnd);
  auto begin = [&] {
    end.reset();
    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK)
      fail("{}: the bzip2 decoder could not be set up: is there enough memory?", source.name);
    end.reset(&stream);
  };
  begin();
  std::vector<char> out(kChunk);
  bool inside = true;
  for (std::string_view in = source.next(); !in.empty(); in = source.next()) {
    stream.next_in = const_cast<char*>(in.data());
    stream.avail_in = static_cast<unsigned>(in.size());
    bool full = false;
    while (stream.avail_in > 0 || full) {
      if (!inside) {
        bz_stream rest = stream;
        begin();
        stream.next_in = rest.next_in, stream.avail_in = rest.avail_in;
      }
      stream.next_out = out.data();
      stream.avail_out = static_cast<unsigned>(out.size());
      int code = BZ2_bzDecompress(&stream);
      if (code != BZ_OK && code != BZ_STREAM_END)
        fail("{}: is damaged bzip2 near byte {}", source.name,
             source.read - static_cast<int64_t>(stream.avail_in));
      inside = code != BZ_STREAM_END;
      full = inside && stream.avail_out == 0;
      size_t written = out.size() - stream.avail_out;
      if (written > 0 && !body({out.data(), written})) return;
    }
  }
  if (inside)
    fail("{}: ends at byte {} in the middle of bzip2 data; is it complete?", source.name, source.read);
}

void read_plain(Source& source, const OnBytes& body) {
  for (std::string_view in = source.next(); !in.empty(); in = source.next())
    if (!body(in)) return;
}

// THE table of compressions.
struct Packing {
  const char* ending;
  std::string_view begin;  // of the bytes
  void (*read)(Source&, const OnBytes&);
};
constexpr size_t kLongestBegin = 10;
const Packing kPackings[] = {
    {".gz", "\x1f\x8b\x08", read_gzip},
    {".xz",
     std::string_view("\xfd"
                      "7zXZ\0",
                      6),
     read_xz},
    {".zst", "\x28\xb5\x2f\xfd", read_zstd},
    {".bz2", "BZh", read_bzip2},
};

const Packing* packing_by_bytes(std::string_view begin) {
  for (const Packing& packing : kPackings) {
    if (!begin.starts_with(packing.begin)) continue;
    // "BZh" alone could begin a text: the size of the blocks and the mark of the first one must follow.
    constexpr std::string_view kBlock = "\x31\x41\x59\x26\x53\x59", kEmpty = "\x17\x72\x45\x38\x50\x90";
    if (packing.read == read_bzip2 &&
        (begin.size() < kLongestBegin || (begin.substr(4, 6) != kBlock && begin.substr(4, 6) != kEmpty)))
      continue;
    return &packing;
  }
  return nullptr;
}

const Packing* packing_by_name(const fs::path& name) {
  std::string ending = lower_extension(name);
  for (const Packing& packing : kPackings)
    if (ending == packing.ending) return &packing;
  return nullptr;
}

void read_bytes(Source& source, const OnBytes& body) {
  std::string first;  // a pipe may give a byte at a time
  while (first.size() < kLongestBegin) {
    std::string_view more = source.next();
    if (more.empty()) break;
    first += more;
  }
  const Packing* packing = packing_by_bytes(first);
  if (!packing) packing = packing_by_name(source.name);
  bool given = first.empty();
  Source whole{source.name, [&]() -> std::string_view {
                 if (given) return source.next();
                 given = true;
                 return first;
               }};
  (packing ? packing->read : read_plain)(whole, body);
}

}  // namespace

fs::path content_name(const fs::path& file) { return packing_by_name(file) ? file.stem() : file.filename(); }

std::string lower_extension(const fs::path& file) {
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

const std::vector<std::string>& packed_endings() {
  static const std::vector<std::string> endings = [] {
    std::vector<std::string> all;
    for (const Packing& packing : kPackings) all.emplace_back(packing.ending);
    return all;
  }();
  return endings;
}

bool is_packed(std::string_view begin) { return packing_by_bytes(begin) != nullptr; }

void read_bytes(const fs::path& file, const std::function<bool(std::string_view, int64_t)>& body) {
  InputFile input(file, InputFile::Pipes::Allowed);
  std::vector<char> buffer(kChunk);
  Source source{file.string(), [&]() -> std::string_view {
                  return {buffer.data(), input.read(buffer.data(), buffer.size())};
                }};
  read_bytes(source, [&](std::string_view bytes) { return body(bytes, source.read); });
}

std::string unpack(std::string_view bytes, std::string_view name) {
  std::string out;
  Source source{std::string(name), [&] { return std::exchange(bytes, {}); }};
  read_bytes(source, [&](std::string_view more) {
    if (out.size() + more.size() > kMostUnpackedBytes)
      fail("{}: unpacks to more than {}", name, human_bytes(static_cast<double>(kMostUnpackedBytes)));
    out += more;
    return true;
  });
  return out;
}

}  // namespace longspan
