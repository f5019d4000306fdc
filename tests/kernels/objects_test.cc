// The objects that are compiled for one instruction set export nothing that another object could pick up. The
// linker takes one body of each inline function and template (a weak symbol): taken from such an object, code
// of the whole program would hold instructions that other processors lack.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>

namespace longspan {
namespace {

namespace fs = std::filesystem;

std::string output_of(const std::string& command) {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string out;
  std::array<char, 4096> buffer;
  while (size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) out.append(buffer.data(), n);
  return out;
}

/// The lines of `nm -C` whose symbol the linker may share: weak functions (W), weak objects (V), unique
/// objects (u). The pointer to the personality function of exceptions is data, the same in every object.
std::string shared_symbols(const std::string& listing) {
  std::istringstream in(listing);
  std::string shared;
  for (std::string line; std::getline(in, line);) {
    // "0000000000000000 W name"; undefined ones have no address and are those of others.
    if (line.size() < 20 || line[0] == ' ' || line[16] != ' ' || line[18] != ' ') continue;
    if (std::string("WVu").find(line[17]) != std::string::npos &&
        !line.ends_with(" DW.ref.__gxx_personality_v0"))
      shared += line.substr(17) + "\n";
  }
  return shared;
}

/// Of a source file of src/kernels, "cpu/cpu.cc".
fs::path object_of(const std::string& source) {
  return fs::path(LONGSPAN_PROGRAM).parent_path() / "CMakeFiles" / "longspan_kernels.dir" / "src" /
         "kernels" / (source + ".o");
}

std::string listing_of(const std::string& source) {
  return output_of("nm -C '" + object_of(source).string() + "'");
}

/// A build that was packed for another machine has no objects beside its programs.
bool packed_build() { return !fs::exists(object_of("dispatch.cc").parent_path()); }

TEST(Objects, OfOneInstructionSetShareNothing) {
  if (packed_build()) GTEST_SKIP() << "no objects were packed";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
  GTEST_SKIP() << "only optimised objects are free of inline functions";
#endif
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(LONGSPAN_SOURCE) / "src" / "kernels" / "cpu")) {
    std::string name = entry.path().filename().string();
    if (!name.ends_with(".cc") || name.find("_avx") == name.npos) continue;
    std::string listing = listing_of("cpu/" + name);
    EXPECT_NE(listing.find(" longspan::"), listing.npos) << name << ": " << listing;
    EXPECT_EQ(shared_symbols(listing), "") << name;
    ++seen;
  }
  EXPECT_GE(seen, 5);
}

TEST(Objects, SharedSymbolsAreSeen) {
  EXPECT_EQ(shared_symbols("                 U memcpy\n"
                           "                 w __gmon_start__\n"
                           "0000000000000000 t helper(float*)\n"
                           "0000000000000010 T longspan::attention()\n"
                           "0000000000000000 r constant\n"),
            "");
  EXPECT_EQ(shared_symbols("0000000000000000 W std::vector<int>::~vector()\n"
                           "0000000000000010 T longspan::attention()\n"
                           "0000000000000000 V DW.ref.x\n"
                           "0000000000000000 u longspan::f()::once\n"),
            "W std::vector<int>::~vector()\nV DW.ref.x\nu longspan::f()::once\n");
  if (packed_build()) return;
  // Any other object has some.
  EXPECT_NE(shared_symbols(listing_of("dispatch.cc")), "");
}

}  // namespace
}  // namespace longspan
