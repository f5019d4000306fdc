// index, ask --index and chat --memory as a user runs them.
#include <csignal>

#include "cli/conversation.h"
#include "cli/program.h"

namespace longspan {
namespace {

class IndexCommand : public ProgramTest {
 protected:
  std::string index() const { return (dir_ / "index").string(); }
  static std::string embedder() { return (fs::path(LONGSPAN_GOLDEN) / "embed" / "mean").string(); }
  std::string file(const std::string& name, const std::string& text) { return write(name, text); }
  Outcome make(std::vector<std::string> more) {
    more.insert(more.begin(), {"index", index(), "--embedder", embedder(), "--passage-tokens", "24",
                               "--overlap", "4", "-t", "1", "--json", "-q"});
    return run(more);
  }
  Json search(const std::string& question, const std::string& most = "5") {
    Outcome r = run({"index", index(), "--search", question, "--most", most, "-t", "1", "--json", "-q"});
    EXPECT_EQ(r.status, 0) << r.err;
    return r.status == 0 ? r.json()["hits"] : Json::array();
  }
  static std::vector<Json> lines(const std::string& out) {
    std::vector<Json> found;
    for (size_t at = 0, end; (end = out.find('\n', at)) != std::string::npos; at = end + 1)
      found.push_back(parse_json(out.substr(at, end - at), "line"));
    return found;
  }
};

TEST_F(IndexCommand, FollowsItsFilesAndShowsWhatItFinds) {
  std::string a = file("a.txt", "first line\n\nthe old mill stood by the river\n"),
              b = file("b.txt", "a king and a dog");
  Outcome r = make({a, b});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.json()["read"], 2);
  EXPECT_EQ(r.json()["documents"], 2);
  Json hits = search("mill river");
  ASSERT_GE(hits.size(), 2u);
  EXPECT_EQ(hits[0]["file"], a);
  EXPECT_EQ(hits[0]["word_rank"], 1);
  EXPECT_EQ(hits[0]["line"], 3);
  EXPECT_EQ(hits[0]["last_line"], 3);
  EXPECT_TRUE(hits.back()["word_rank"].is_null());
  fs::remove(b);
  write("a.txt", "now a lighthouse");
  r = run({"index", index(), "--json", "-q"});  // the embedder is known
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.json()["read"], 1);
  EXPECT_EQ(r.json()["removed"], 1);
  EXPECT_EQ(search("lighthouse").size(), 1u);
  Outcome shown = run({"index", index(), "--search", "lighthouse"});
  EXPECT_NE(shown.out.find("a.txt, line 1"), std::string::npos) << shown.out;
  Outcome list = run({"index", index(), "--list", "--json"});
  EXPECT_EQ(list.json()["documents"].size(), 1u);
  EXPECT_EQ(list.json()["passage_tokens"], 24);
  EXPECT_NE(run({"index", index(), "--list"}).out.find("1 document, 1 passage"), std::string::npos);
}

TEST_F(IndexCommand, FaultsAreOneSentence) {
  std::string a = file("a.txt", "the cat"), image = file("b.bin", "\x89PNG\r\n\x1a\n");
  ASSERT_EQ(make({a}).status, 0);
  std::string other = (fs::path(LONGSPAN_GOLDEN) / "embed" / "bge").string(), none = (dir_ / "none").string();
  for (const auto& [arguments, part] : std::vector<std::pair<std::vector<std::string>, const char*>>{
           {{"index", none}, "holds no index"},
           {{"index", none, "--search", "x"}, "holds no index"},
           {{"index", dir_.string(), a, "--embedder", embedder()}, "is a folder of other files"},
           {{"index", index(), a, "--embedder", other}, "made with another embedder"},
           {{"index", index(), a, "--task", "qa"}, "made with another embedder"},
           {{"index", index(), a, "--passage-tokens", "30"}, "leave --passage-tokens"},
           {{"index", index(), a, "--passage-tokens", "9999"}, "reads passages of 8 to 62 tokens"},
           {{"index", none, a, "--embedder", embedder(), "--overlap", "40"}, "may share 31 at most"},
           {{"index", index(), image}, "PNG image"},
           {{"index", index(), (dir_ / "gone").string()}, "gone"},
           {{"ask", tiny_model(4096), "--index", none, "who?"}, "holds no index"},
           {{"ask", tiny_model(4096), "--index", index(), "who?", "--budget", "3"}, "give a larger --budget"},
           {{"chat", tiny_model(4096), "--memory", index()}, "is an index of documents"}}) {
    std::vector<std::string> quiet = arguments;
    quiet.emplace_back("-q");
    Outcome r = run(quiet);
    EXPECT_EQ(r.status, 1) << arguments[1];
    EXPECT_TRUE(r.one_sentence()) << r.err;
    EXPECT_NE(r.err.find(part), std::string::npos) << r.err;
  }
  EXPECT_EQ(run({"ask", "m", "who?"}).status, 2);
  EXPECT_EQ(run({"ask", "m", "--file", "x", "--index", "y", "who?"}).status, 2);
  EXPECT_EQ(run({"ask", "m", "--file", "x", "--budget", "9", "who?"}).status, 2);
  EXPECT_EQ(run({"index", "d", "--list", "--search", "x"}).status, 2);
}

TEST_F(IndexCommand, KilledAtAnyMomentGoesOn) {
  std::vector<std::string> files;
  for (int i = 0; i < 12; ++i) {
    std::string text;
    for (int j = 0; j < 60; ++j)
      text += "the cat number " + std::to_string(100 * i + j) + " sat on the mat. ";
    files.push_back(file("f" + std::to_string(i) + ".txt", text));
  }
  std::vector<std::string> command = {"index", index(), "--embedder", embedder(), "-t", "1", "-q", "--json"};
  command.insert(command.end(), files.begin(), files.end());
  Outcome whole = run(command);
  ASSERT_EQ(whole.status, 0) << whole.err;
  int64_t passages = whole.json()["passages"];
  kill_at_any_moment(
      [&] {
        fs::remove_all(index());
        return command;
      },
      [&] {
        Outcome r = run(command);
        ASSERT_EQ(r.status, 0) << r.err;
        EXPECT_EQ(r.json()["passages"], passages);
        EXPECT_EQ(r.json()["read"].get<int>() + r.json()["unchanged"].get<int>(), 12);
        ASSERT_FALSE(search("number 1103").empty());
      });
}

TEST_F(IndexCommand, AskReadsAsManyPassagesAsTheWindowHolds) {
  std::string model = tiny_model(2048), text;
  for (int i = 0; i < 100; ++i) text += "the dog number " + std::to_string(i) + " ran.\n\n";
  std::string a = file("a.txt", text), b = file("b.txt", "nothing but a cat here, far away");
  ASSERT_EQ(make({a, b}).status, 0);
  std::vector<std::string> ask = {"ask", model, "--index", index(), "71?", "-n", "8", "--json"};
  Outcome wide = run(ask);
  ASSERT_EQ(wide.status, 0) << wide.err;
  Json answer = wide.json();
  EXPECT_GT(answer["prompt_tokens"], 1500);
  EXPECT_LE(answer["prompt_tokens"], 2048 - 8);
  bool found = false;
  std::string before;
  for (const Json& source : answer["sources"]) {
    found |= source["text"].get<std::string>().find("number 71 ") != std::string::npos;
    std::string at = source["file"].get<std::string>() +
                     std::string(8 - std::to_string(source["begin"].get<int>()).size(), '0') +
                     std::to_string(source["begin"].get<int>());
    EXPECT_LT(before, at);
    before = at;
    EXPECT_EQ(text.substr(source["begin"], source["text"].get<std::string>().size()), source["text"]);
  }
  EXPECT_TRUE(found);
  ask.insert(ask.end(), {"--passages", "2"});
  EXPECT_LE(run(ask).json()["sources"].size(), 2u);
  ask.insert(ask.end(), {"--budget", "300", "-Q", "far away cat?", "--temperature", "0.5"});
  std::vector<Json> both = lines(run(ask).out);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[1]["sources"].back()["file"], b);
  Outcome shown = run({"ask", model, "--index", index(), "far away cat?", "-n", "4", "--passages", "2"});
  EXPECT_NE(shown.out.find("\nSources:\n[1] "), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("b.txt, line 1\n"), std::string::npos) << shown.out;
}

TEST_F(IndexCommand, AConversationOutgrowsItsWindow) {
  std::string model = tiny_model(1024), memory = (dir_ / "memory").string();
  std::vector<std::string> chat = {"chat",     model,      "--memory",  memory, "--embedder",
                                   embedder(), "--system", "be brief.", "-n",   "4",
                                   "-t",       "1",        "--json",    "-q"};
  std::string input;
  for (int i = 1; i <= 200; ++i)
    input += i == 3 ? "remember that the zanzibar code is 4711.\n"
                    : "tell me about thing number " + std::to_string(i) + ".\n";
  Outcome r = run(chat, input);
  ASSERT_EQ(r.status, 0) << r.err;
  std::vector<Json> turns = lines(r.out);
  ASSERT_EQ(turns.size(), 200u);
  for (const Json& turn : turns) EXPECT_LE(turn["prompt_tokens"], 1024 - 4);
  EXPECT_TRUE(turns[3]["recalled"].empty());
  EXPECT_GT(turns[199]["held_turns"], 2);
  // Another process goes on, without the system message, and the early turn is back.
  chat.erase(chat.begin() + 6, chat.begin() + 8);
  r = run(chat, "what was the zanzibar code?\nand what did i just ask?\n");
  ASSERT_EQ(r.status, 0) << r.err;
  turns = lines(r.out);
  ASSERT_EQ(turns.size(), 2u);
  EXPECT_EQ(turns[0]["turn"], 201);
  std::vector<int64_t> recalled = turns[0]["recalled"];
  EXPECT_NE(std::find(recalled.begin(), recalled.end(), 3), recalled.end()) << r.out;
  EXPECT_EQ(turns[1]["turn"], 202);
  // Most of it need not be read again.
  EXPECT_GT(turns[1]["reused_tokens"], 100);
  std::string saved = (dir_ / "saved.json").string();
  ASSERT_EQ(run(chat, "/save " + saved + "\n").status, 0);
  EXPECT_EQ(parse_json_file(saved)["messages"].size(), 404u);
  EXPECT_EQ(parse_json_file(saved)["system"], "be brief.");
  for (const char* command : {"/reset\n", "/load x\n"}) {
    Outcome refused = run(chat, command);
    EXPECT_EQ(refused.status, 1);
    EXPECT_TRUE(refused.one_sentence()) << refused.err;
  }
}

TEST(Recalled, StandsBeforeTheQuestion) {
  EXPECT_EQ(cli::with_recalled({}, "why?"), "why?");
  EXPECT_EQ(cli::with_recalled({{9, "when?", "now"}, {3, "who?", "me"}}, "why?"),
            "Earlier in this conversation:\n\nUser: who?\nAssistant: me\n\nUser: when?\nAssistant: "
            "now\n\nNow: why?");
}

}  // namespace
}  // namespace longspan
