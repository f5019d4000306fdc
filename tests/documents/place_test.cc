// Marks that the reader writes, found again.
#include "documents/place.h"

#include <gtest/gtest.h>

namespace longspan::documents {
namespace {

TEST(Place, IsThatOfTheLastMarks) {
  std::string text =
      "[file: a.pdf]\n\n[page 1]\nfirst\n[page 12]\nsecond\n[file: b [1].epub]\nfront\n[chapter 3]\nthird\n";
  Places places(text);
  EXPECT_EQ(places.at(0), (Place{.file = "a.pdf"}));
  EXPECT_EQ(places.at(text.find("first")), (Place{.file = "a.pdf", .page = 1}));
  EXPECT_EQ(places.at(text.find("[page 12]")), (Place{.file = "a.pdf", .page = 12}));
  EXPECT_EQ(places.at(text.find("second")), (Place{.file = "a.pdf", .page = 12}));
  EXPECT_EQ(places.at(text.find("front")), (Place{.file = "b [1].epub"}));
  EXPECT_EQ(places.at(text.size() + 9), (Place{.file = "b [1].epub", .chapter = 3}));
}

TEST(Place, OtherLinesInBracketsAreNoMarks) {
  for (const char* text : {"", "[page]\nx", "[page 0]\nx", "[page 7a]\nx", " [page 7]\nx", "[page 7] \nx",
                           "[page 99999999999999999999]\nx", "x [page 7]\nx", "[file:x]\nx"})
    EXPECT_EQ(Places(text).at(100), Place{}) << text;
  EXPECT_EQ(Places("[page 7]").at(0), (Place{.page = 7}));
}

}  // namespace
}  // namespace longspan::documents
