#include "base/compressed.h"

#include <lzma.h>
#include <zstd.h>

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

void read_bytes(Source& source, const OnBytes& body) {
  if (source.name.ends_with(".zst")) return read_zstd(source, body);
  if (source.name.ends_with(".xz")) return read_xz(source, body);
  for (std::string_view in = source.next(); !in.empty(); in = source.next())
    if (!body(in)) return;
}

}  // namespace

fs::path content_name(const fs::path& file) {
  bool packed = file.extension() == ".zst" || file.extension() == ".xz";
  return packed ? file.stem() : file.filename();
}

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
