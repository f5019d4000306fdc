// A turn is a document of the index whose path is its number.
#include "retrieval/memory.h"

#include <fmt/core.h>

#include <charconv>
#include <set>

#include "retrieval/indexer.h"

namespace longspan::retrieval {

Memory::Memory(const std::filesystem::path& directory, Embedder embedder, const Making& making)
    : embedder_(std::move(embedder)), store_(Store::write(directory, making)), vectors_(store_) {
  Statement row = store_.database().prepare("SELECT max(number) FROM turns");
  row.next();
  last_ = row.whole(0);
}

std::vector<Turn> Memory::between(int64_t first, int64_t last) const {
  Statement rows = store_.database().prepare(
      "SELECT number, question, answer FROM turns WHERE number BETWEEN ?1 AND ?2 ORDER BY number");
  rows.bind(first, last);
  std::vector<Turn> turns;
  while (rows.next()) turns.push_back({rows.whole(0), rows.text(1), rows.text(2)});
  return turns;
}

std::vector<Turn> Memory::recall(const std::string& question, int64_t before, int64_t most) const {
  std::vector<Turn> turns;
  if (before <= 1) return turns;
  const std::string texts[] = {question};
  // Newer turns are asked for as well, because they stand in the same lists.
  int64_t depth = 4 * most + (last_ + 1 - before);
  std::set<int64_t> seen;
  for (const Hit& hit : search(store_, vectors_, question, embedder_.embed(texts, EmbedSide::Query), depth)) {
    int64_t number = 0;
    const std::string& path = hit.passage.path;
    std::from_chars(path.data(), path.data() + path.size(), number);
    if (number >= before || !seen.insert(number).second) continue;
    for (Turn& turn : between(number, number)) turns.push_back(std::move(turn));
    if (std::ssize(turns) == most) break;
  }
  return turns;
}

void Memory::add(const std::string& question, const std::string& answer) {
  std::string text = question + "\n\n" + answer;
  EmbeddedText embedded =
      embed_text(embedder_, store_.making().cutting, text, [](int64_t, int64_t) { return true; });
  Transaction transaction(store_.database());
  store_.put({.path = std::to_string(last_ + 1), .digest = "", .size = std::ssize(text)}, text,
             embedded.passages, embedded.vectors);
  store_.database()
      .prepare("INSERT INTO turns(number, question, answer) VALUES(?1, ?2, ?3)")
      .bind(last_ + 1, std::string_view(question), std::string_view(answer))
      .run();
  transaction.commit();
  ++last_;
  vectors_.update();
}

void Memory::set_system(const std::string& text) {
  Transaction transaction(store_.database());
  store_.set_note("system", text);
  transaction.commit();
}

}  // namespace longspan::retrieval
