// A conversation's memory: every turn is kept, and what matters comes back.
#include "retrieval/memory.h"

#include "retrieval/index_files.h"

namespace longspan::retrieval {
namespace {

class MemoryOfTurns : public IndexTest {
 protected:
  Memory open() const { return {dir_ / "memory", tiny_embedder(), making(kConversation)}; }
};

TEST_F(MemoryOfTurns, SurvivesAndRecalls) {
  {
    Memory memory = open();
    EXPECT_EQ(memory.turns(), 0);
    EXPECT_TRUE(memory.recall("anything", 1, 5).empty());
    memory.set_system("be brief");
    for (int i = 1; i <= 200; ++i)
      memory.add("what about topic number" + std::to_string(i) + "?",
                 i == 7 ? "the password is zanzibar" : "nothing much to say");
    EXPECT_NE(fault([&] { open(); }).find("another program is writing"), std::string::npos);
  }
  Memory memory = open();
  EXPECT_EQ(memory.turns(), 200);
  EXPECT_EQ(memory.system(), "be brief");
  std::vector<Turn> turns = memory.recall("tell me the password again", 190, 5);
  ASSERT_EQ(turns.size(), 5u);
  EXPECT_EQ(turns[0].number, 7);
  EXPECT_EQ(turns[0].answer, "the password is zanzibar");
  EXPECT_TRUE(memory.recall("tell me the password again", 7, 200).size() <= 6u);
  for (const Turn& turn : memory.recall("topic number150", 100, 50)) EXPECT_LT(turn.number, 100);
  std::vector<Turn> newest = memory.between(199, 200);
  ASSERT_EQ(newest.size(), 2u);
  EXPECT_EQ(newest[1].question, "what about topic number200?");
  memory.add("one more about zebras", "noted");
  turns = memory.recall("zebras", 202, 3);
  EXPECT_TRUE(std::any_of(turns.begin(), turns.end(), [](const Turn& turn) { return turn.number == 201; }));
}

TEST_F(MemoryOfTurns, ALongTurnComesBackWhole) {
  Memory memory = open();
  std::string answer;
  for (int i = 0; i < 300; ++i) answer += "sentence number " + std::to_string(i) + " of it. ";
  memory.add("a long story with a tail", answer + "At its end sat a walrus.");
  memory.add("other", "things");
  std::vector<Turn> turns = memory.recall("walrus", 3, 5);
  ASSERT_EQ(turns.size(), 2u);
  EXPECT_EQ(turns[0].number, 1);
  EXPECT_TRUE(turns[0].answer.ends_with("a walrus."));
  memory.add("", "");  // nothing to embed, and kept all the same
  EXPECT_EQ(memory.turns(), 3);
  EXPECT_EQ(memory.between(3, 3).size(), 1u);
}

}  // namespace
}  // namespace longspan::retrieval
