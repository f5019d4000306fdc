// SHA-256 against the example values of FIPS 180-4.
#include "cli/digest.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/build_files.h"

namespace longspan::cli {
namespace {

TEST(Sha256, IsThatOfTheStandardsExamples) {
  TemporaryDirectory dir;
  auto digest = [&](const std::string& text) {
    write_file_atomic(dir.path / "f", text);
    return sha256_of(dir.path / "f");
  };
  EXPECT_EQ(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(digest(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  // More than one chunk of reading (Python's hashlib).
  EXPECT_EQ(digest(std::string(3'000'000, 'a')),
            "2a152c894398719c0570f83fac34ac03a0f6e8e474b995c2403aa5434f7b9dd4");
  EXPECT_THROW(sha256_of(dir.path / "absent"), Error);
  EXPECT_THROW(sha256_of(dir.path), Error);
}

}  // namespace
}  // namespace longspan::cli
