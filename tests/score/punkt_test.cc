// Against sentences that NLTK 3.8 found in passages of English books and in hard lines.
#include "score/punkt.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "documents/records.h"

namespace longspan {
namespace {

using Sentences = std::vector<std::string>;

TEST(Punkt, SentencesOfNltk) {
  int vectors = 0;
  documents::read_lines(
      std::string(LONGSPAN_GOLDEN) + "/suites/punkt_sentences.jsonl.zst",
      [&](std::string_view line, int64_t number) {
        const Json want = parse_json(line, "golden");
        EXPECT_EQ(punkt_sentences(want["text"].get<std::string>()), want["sentences"].get<Sentences>())
            << "line " << number;
        ++vectors;
        return true;
      });
  EXPECT_EQ(vectors, 46);
}

TEST(Punkt, ClosersBelongToTheSentenceBefore) {
  EXPECT_EQ(punkt_sentences("(One ends.) Two begins.  "), (Sentences{"(One ends.)", "Two begins."}));
  EXPECT_EQ(punkt_sentences("\"Stop!\"--he ran."), (Sentences{"\"Stop!\"", "--he ran."}));
}

TEST(Punkt, InitialsNumbersAndEllipses) {
  EXPECT_EQ(punkt_sentences("J. S. Bach wrote it."), (Sentences{"J. S. Bach wrote it."}));
  EXPECT_EQ(punkt_sentences("It was so... dark. We left."), (Sentences{"It was so... dark.", "We left."}));
  EXPECT_EQ(punkt_sentences("See No. 5. the rest"), (Sentences{"See No.", "5. the rest"}));
}

TEST(Punkt, OddText) {
  EXPECT_EQ(punkt_sentences(""), Sentences{});
  EXPECT_EQ(punkt_sentences(" \n\t "), Sentences{});
  EXPECT_EQ(punkt_sentences("..."), Sentences{"..."});
  EXPECT_EQ(punkt_sentences("! ? ."), (Sentences{"!", "?", "."}));
  EXPECT_EQ(punkt_sentences("bad \xff byte. Good."), (Sentences{"bad \xEF\xBF\xBD byte.", "Good."}));
}

}  // namespace
}  // namespace longspan
