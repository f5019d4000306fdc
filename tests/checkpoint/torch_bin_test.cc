// Files of torch.save: the same tensors as in safetensors, no code run, lies and truncations refused.
#include <gtest/gtest.h>

#include <cstring>

#include "base/file.h"
#include "checkpoint/build_files.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/expect_error.h"

namespace longspan {
namespace {

std::filesystem::path golden(const char* name) {
  return std::filesystem::path(LONGSPAN_GOLDEN) / "checkpoint" / name;
}

std::string parse_error(const std::string& text) {
  return error_of(
      [&] { with_exact_bytes(text, [](auto bytes) { return parse_torch_bin(bytes, "m.bin"); }); });
}

/// A ZIP archive of stored entries; `wide` puts every number that can into 64-bit records.
std::string zip(const std::vector<std::pair<std::string, std::string>>& entries, bool wide = false,
                uint16_t method = 0) {
  std::string out, directory;
  for (const auto& [name, data] : entries) {
    auto n = static_cast<uint32_t>(wide ? 0xFFFFFFFF : data.size());
    auto at = static_cast<uint32_t>(wide ? 0xFFFFFFFF : out.size());
    std::string extra;
    if (wide)
      extra = raw<uint16_t>(1) + raw<uint16_t>(24) + raw<uint64_t>(data.size()) + raw<uint64_t>(data.size()) +
              raw<uint64_t>(out.size());
    std::string sizes = raw<uint32_t>(0) + raw(n) + raw(n) + raw(static_cast<uint16_t>(name.size()));
    std::string start = raw<uint16_t>(0) + raw(method) + raw<uint32_t>(0) + sizes;
    directory += raw<uint32_t>(0x02014b50) + raw<uint16_t>(0) + raw<uint16_t>(0) + start +
                 raw(static_cast<uint16_t>(extra.size())) + std::string(10, '\0') + raw(at) + name + extra;
    // As torch does it the local header is padded, so that the data lies aligned.
    size_t padding = (8 - (out.size() + 30 + name.size()) % 8) % 8;
    out += raw<uint32_t>(0x04034b50) + raw<uint16_t>(0) + start + raw(static_cast<uint16_t>(padding)) + name +
           std::string(padding, 'x') + data;
  }
  auto count = static_cast<uint16_t>(entries.size());
  uint64_t begin = out.size();
  out += directory;
  if (wide) {
    uint64_t end = out.size();
    out += raw<uint32_t>(0x06064b50) + raw<uint64_t>(44) + std::string(12, '\0') + raw<uint64_t>(count) +
           raw<uint64_t>(count) + raw<uint64_t>(directory.size()) + raw(begin);
    out += raw<uint32_t>(0x07064b50) + raw<uint32_t>(0) + raw(end) + raw<uint32_t>(1);
  }
  return out + raw<uint32_t>(0x06054b50) + raw<uint32_t>(0) + raw(count) + raw(count) +
         raw(static_cast<uint32_t>(wide ? 0xFFFFFFFF : directory.size())) +
         raw(static_cast<uint32_t>(wide ? 0xFFFFFFFF : begin)) + raw<uint16_t>(0);
}

std::string text(const std::string& s) { return "X" + raw(static_cast<uint32_t>(s.size())) + s; }
std::string number(int32_t n) { return "J" + raw(n); }

/// The pickle of one tensor [2, 3] named "w"; the arguments can be made to lie.
struct TensorPickle {
  std::string call = "ctorch._utils\n_rebuild_tensor_v2\n", storage = "ctorch\nFloatStorage\n", key = "0";
  std::string offset = number(0), sizes = number(2) + number(3) + "\x86",
              strides = number(3) + number(1) + "\x86";
  std::string bytes() const {
    return "\x80\x02}" + text("w") + call + "((" + text("storage") + storage + text(key) + text("cpu") +
           number(6) + "tQ" + offset + sizes + strides + "\x89}tRs.";
  }
};

std::string archive(const std::string& pickle, bool wide = false) {
  return zip({{"m/data.pkl", pickle}, {"m/data/0", floats_as_bytes({1, 2, 3, 4, 5, 6})}}, wide);
}

TEST(TorchBin, HoldsWhatSafetensorsHolds) {
  std::string bin = read_file(golden("state.bin")), st = read_file(golden("state.safetensors"));
  auto bytes = [](const std::string& s) { return std::as_bytes(std::span(s)); };
  ParsedTensors a = parse_torch_bin(bytes(bin), "a"), b = parse_safetensors(bytes(st), "b");
  ASSERT_EQ(a.tensors.size(), 8u);
  ASSERT_EQ(b.tensors.size(), 8u);
  for (const NamedTensor& want : b.tensors) {
    auto at = std::find_if(a.tensors.begin(), a.tensors.end(), [&](auto& t) { return t.name == want.name; });
    ASSERT_NE(at, a.tensors.end()) << want.name;
    const Tensor &t = at->tensor, &w = want.tensor;
    EXPECT_EQ(t.dtype, w.dtype) << want.name;
    ASSERT_EQ(t.dims, w.dims) << want.name;
    for (int i = 0; i < t.dims; ++i) ASSERT_EQ(t.size[i], w.size[i]) << want.name;
    EXPECT_EQ(std::memcmp(t.data, w.data, static_cast<size_t>(w.bytes())), 0) << want.name;
  }
  EXPECT_EQ(a.skipped["steps"], "type \"torch.LongStorage\"");
  EXPECT_EQ(a.skipped["empty"], "no elements");
  expect_says(a.skipped["turned"], "rows that do not lie one after the other");
}

TEST(TorchBin, NothingIsRun) {
  std::string hostile = read_file(golden("hostile.bin"));
  expect_says(parse_error(hostile), "asks for \"posix.system\", which a dictionary of tensors does not need");
  EXPECT_FALSE(std::filesystem::exists("longspan-was-here"));
  expect_says(parse_error(read_file(golden("legacy.bin"))), "saved by torch before 1.6");
  TensorPickle p;
  p.call = "c__builtin__\neval\n";
  expect_says(parse_error(archive(p.bytes())), "asks for \"__builtin__.eval\"");
  expect_says(parse_error(archive("\x80\x02" + std::string("ios\nsystem\n."))), "opcode 0x69");
  expect_says(parse_error(archive("\x80\x04}.")), "protocol 4");
}

TEST(TorchBin, WideRecords) {
  std::string file = archive(TensorPickle().bytes(), true);
  with_exact_bytes(file, [](auto bytes) {
    ParsedTensors p = parse_torch_bin(bytes, "m.bin");
    EXPECT_EQ(p.tensors.at(0).tensor.row(1)[2], 6.0f);
    return 0;
  });
  for (size_t n = 0; n < file.size(); ++n) expect_says(parse_error(file.substr(0, n)), "m.bin: ");
}

TEST(TorchBin, LyingTensors) {
  EXPECT_EQ(parse_error(archive(TensorPickle().bytes())), "no error");
  auto changed = [](std::string TensorPickle::*field, const std::string& value) {
    TensorPickle p;
    p.*field = value;
    return parse_error(archive(p.bytes()));
  };
  expect_says(changed(&TensorPickle::key, "1"), "tensor \"w\" lies in \"m/data/1\", which the archive lacks");
  expect_says(changed(&TensorPickle::key, "../data.pkl"), "which the archive lacks");
  expect_says(changed(&TensorPickle::offset, number(1)), "needs 24 bytes from element 1");
  expect_says(changed(&TensorPickle::offset, number(-1)), "begins before its storage");
  expect_says(changed(&TensorPickle::offset, "\x8a\x08" + raw<int64_t>(INT64_MAX)), "needs 24 bytes");
  expect_says(changed(&TensorPickle::offset, text("x")), "not described as torch.save does it");
  expect_says(changed(&TensorPickle::sizes, number(-2) + number(3) + "\x86"), "negative size");
  expect_says(changed(&TensorPickle::sizes, number(3) + number(3) + "\x86"), "needs 36 bytes");
  std::string huge = "\x8a\x08" + raw<int64_t>(int64_t{1} << 40);
  expect_says(changed(&TensorPickle::sizes, huge + huge + "\x86"), "more elements than any");
  expect_says(changed(&TensorPickle::storage, text("FloatStorage")), "not described as torch.save does it");
  EXPECT_EQ(changed(&TensorPickle::strides, number(1) + number(2) + "\x86"), "no error");  // skipped
}

TEST(TorchBin, LyingPickles) {
  auto error = [](const std::string& program) { return parse_error(archive("\x80\x02" + program)); };
  for (const char* program : {"",
                              "}",
                              "t.",
                              "(.",
                              "0",
                              "R.",
                              "}R.",
                              "s.",
                              "}(Ns.",
                              "}Nu.",
                              "]Na",
                              "h\x05.",
                              "}q\x05.",
                              "Q.",
                              "NQ.",
                              "\x87.",
                              "X\xff\xff\xff\x7f",
                              "cab",
                              "b",
                              "]b."})
    EXPECT_NE(error(program), "no error") << program;
  expect_says(error("N."), "something else than a dictionary");
  expect_says(error("}NNs."), "something else than a text");
  expect_says(error("}" + text("w") + "Ns" + text("w") + "Ns."), "tensor \"w\" stands twice");
  EXPECT_EQ(error("}q" + std::string(1, '\0') + text("me") + "h" + std::string(1, '\0') + "s."), "no error");
  // Values beyond what any dictionary needs, and a pickle of too many bytes.
  expect_says(error(std::string(2 << 20, ')') + "."), "more than 1048576 values");
  expect_says(error(std::string(17 << 20, '(')), "has 17825794 bytes");
}

TEST(TorchBin, LyingArchives) {
  std::string pickle = TensorPickle().bytes();
  expect_says(parse_error(""), "is empty");
  expect_says(parse_error("hello"), "not a file of torch.save");
  expect_says(parse_error("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull");
  expect_says(parse_error(zip({{"m/other", pickle}})), "without data.pkl");
  expect_says(parse_error(zip({{"m/data.pkl", pickle}}, false, 8)), "is compressed");
  expect_says(parse_error(zip({{"m/data.pkl", pickle}, {"m/data.pkl", pickle}})), "twice");
  expect_says(parse_error(zip({{"m/data.pkl", pickle}, {"m/byteorder", "big"}})), "big-endian");
}

TEST(TorchBin, AnyByteMayBeWrong) {
  std::string good = archive(TensorPickle().bytes());
  int parsed = 0, refused = 0;
  for (size_t i = 0; i < good.size(); ++i)
    for (unsigned char change : {0x01, 0x10, 0x80, 0xff}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ change);
      (parse_error(bad) == "no error" ? parsed : refused)++;
    }
  EXPECT_GT(parsed, 0);
  EXPECT_GT(refused, 0);
}

TEST(TorchBin, Directories) {
  TemporaryDirectory dir;
  write_file_atomic(dir.path / "config.json", R"({"model_type": "llama"})");
  std::filesystem::copy_file(golden("state.bin"), dir.path / "pytorch_model.bin");
  Checkpoint c = open_checkpoint(dir.path);
  EXPECT_EQ(c.tensors.size(), 8u);
  expect_says(error_of([&] { c.require("turned"); }), "rows that do not lie one after the other");
  std::filesystem::rename(dir.path / "pytorch_model.bin", dir.path / "pytorch_model-00001-of-00001.bin");
  expect_says(error_of([&] { open_checkpoint(dir.path); }), "download pytorch_model.bin.index.json");
  write_file_atomic(dir.path / "pytorch_model.bin.index.json",
                    R"({"weight_map": {"half": "pytorch_model-00001-of-00001.bin"}})");
  EXPECT_EQ(open_checkpoint(dir.path).require("half").dtype, DType::F16);
}

}  // namespace
}  // namespace longspan
