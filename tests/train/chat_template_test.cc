// Conversations for a model that carries no chat template: the recipe's key chat_template chooses one.
#include <cmath>

#include "model/family.h"
#include "model/model_files.h"
#include "train/fixture.h"

namespace longspan {
namespace {

class ChatTemplateKey : public TrainTest {
 protected:
  void SetUp() override {
    TrainTest::SetUp();
    // Tokens are characters from ' ' to '?'; of "aquila-v1" the others are special.
    make_family(dir_ / "aquila", "aquila", true, {"<|startofpiece|>", "<|endofpiece|>", "</s>"});
    std::string lines;
    for (int i = 0; i < 8; ++i)
      lines += fmt::format(
          R"({{"messages": [{{"role": "user", "content": "1{0} ?"}}, {{"role": "assistant", "content": "2{0}"}}]}})"
          "\n",
          i);
    write("chat.jsonl", lines);
  }

  Recipe recipe_with(const std::string& top, const std::string& stage = "stage.chat") {
    std::string text =
        "model = \"aquila\"\noutput = \"run\"\ncompute = \"f32\"\n" + top +
        "\n[trained]\nall = true\n[[stage]]\nname = \"talk\"\nlength = 32\nsteps = 2\nlr = 1e-3\n";
    if (stage == "stage.chat")
      text += "[[stage.chat]]\nfiles = [\"chat.jsonl\"]\non_bad = \"fail\"\n";
    else
      text +=
          "[[stage.text]]\nfiles = [\"chat.jsonl\"]\n[stage.short]\nrows = 1\ntokens = 32\ncross_entropy = "
          "1\n"
          "[[stage.short.chat]]\nfiles = [\"chat.jsonl\"]\n";
    return read_recipe(write("r.toml", text));
  }
  TrainingData open(const Recipe& recipe) {
    return open_training_data(recipe, open_checkpoint(dir_ / "aquila"), {});
  }
};

TEST_F(ChatTemplateKey, WithoutItTheFaultNamesTheWayOut) {
  for (const char* stage : {"stage.chat", "stage.short.chat"}) {
    std::string fault = error_of([&] { open(recipe_with("", stage)); });
    EXPECT_EQ(
        fault,
        (dir_ / "r.toml").string() + ": stage \"talk\" trains on conversations, but " +
            (dir_ / "aquila").string() +
            " carries no chat template; choose one with the key chat_template at the top of the recipe, a "
            "file or one of: xverse, aquila-chat, aquila, aquila-legacy, aquila-v1, aquila-v2, index")
        << stage;
  }
  EXPECT_FALSE(fs::exists(dir_ / "run"));  // nothing was tokenised before
}

TEST_F(ChatTemplateKey, ABuiltInNameTrainsOnAnswersAndTheirEnds) {
  Recipe recipe = recipe_with("chat_template = \"aquila-v1\"");
  TrainingData data = open(recipe);
  TrainingRow row = data.stages.at(0).rows.row(0);
  Tokenizer tokenizer = load_tokenizer(open_metadata(dir_ / "aquila"));
  std::string fed, trained;
  for (int32_t id : row.ids) fed += tokenizer.token_text(id);
  EXPECT_TRUE(fed.starts_with("<|startofpiece|>1")) << fed;
  for (size_t t = 0; t < row.ids.size(); ++t)
    if (row.weights[t] > 0) trained += tokenizer.token_text(row.targets[t]);
  std::string expected;
  for (size_t at = 0; (at = fed.find("<|endofpiece|>", at)) != fed.npos;) {
    at += std::string("<|endofpiece|>").size();
    expected += fed.substr(at, 2) + "</s>";
  }
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(trained, expected);

  std::vector<double> losses;
  TrainerEvents events;
  events.step = [&](const StepReport& s) { losses.push_back(s.loss); };
  EXPECT_TRUE(train(recipe, open_checkpoint(dir_ / "aquila"), data, false, events));
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_TRUE(std::isfinite(losses[1]));
}

TEST_F(ChatTemplateKey, AFileLiesBesideTheRecipe) {
  write("mine.jinja",
        "{% for m in messages %}{{ '<|startofpiece|>' if m.role == 'user' else '<|endofpiece|>' }}"
        "{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|endofpiece|>{% endif %}");
  Recipe recipe = recipe_with("chat_template = \"mine.jinja\"");
  EXPECT_EQ(recipe.chat_template, (dir_ / "mine.jinja").string());
  EXPECT_GT(open(recipe).stages.at(0).rows.rows, 0);
  EXPECT_NE(recipe.digest, recipe_with("chat_template = \"aquila-v1\"").digest);
  EXPECT_NE(
      error_of([&] { open(recipe_with("chat_template = \"nowhere\"")); }).find("\"nowhere\" is neither"),
      std::string::npos);
}

}  // namespace
}  // namespace longspan
