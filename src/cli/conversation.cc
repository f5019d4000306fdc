#include "cli/conversation.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/plural.h"
#include "cli/output.h"
#include "cli/window.h"

namespace longspan::cli {

namespace {

constexpr int64_t kFirstStep = 2048;
constexpr const char* kSavedAs = "longspan chat 1";  // "format" of a saved conversation

std::string text_of(const Json& json, const char* key, const std::string& file) {
  auto found = json.find(key);
  if (found == json.end()) return {};
  if (!found->is_string()) fail("{}: \"{}\" is not a text", file, key);
  return found->get<std::string>();
}

/// Questions and answers in turn.
std::vector<ChatMessage> turns_of(const Json& json, const std::string& file) {
  auto list = json.find("messages");
  if (list == json.end() || !list->is_array()) fail("{}: has no list \"messages\"", file);
  std::vector<ChatMessage> turns;
  for (const Json& message : *list) {
    const char* role = turns.size() % 2 == 0 ? "user" : "assistant";
    if (!message.is_object() || text_of(message, "role", file) != role)
      fail("{}: message {} is not one of the {}; questions and answers must take turns", file,
           turns.size() + 1, role);
    turns.push_back({role, text_of(message, "content", file)});
  }
  if (turns.size() % 2 != 0) fail("{}: the last question has no answer", file);
  return turns;
}

Json read_saved(const std::filesystem::path& file) {
  Json json = parse_json_file(file);
  if (!json.is_object() || text_of(json, "format", file.string()) != kSavedAs)
    fail("{}: is not a conversation that /save of this program wrote", file.string());
  return json;
}

}  // namespace

std::string with_recalled(std::vector<retrieval::Turn> turns, const std::string& question) {
  if (turns.empty()) return question;
  std::sort(turns.begin(), turns.end(),
            [](const retrieval::Turn& a, const retrieval::Turn& b) { return a.number < b.number; });
  std::string out = "Earlier in this conversation:\n";
  for (const retrieval::Turn& turn : turns)
    out += fmt::format("\nUser: {}\nAssistant: {}\n", turn.question, turn.answer);
  return out + "\nNow: " + question;
}

void check_chat_file(const std::string& file) {
  if (file == "-") fail("chat reads your questions from standard input; give it a real file");
  if (std::error_code ignored; std::filesystem::is_fifo(file, ignored))
    fail("{}: is a pipe, but chat reads its file again whenever it changes; give it a regular file", file);
}

Conversation::Conversation(Engine& engine, const ChatOptions& o)
    : engine_(engine),
      o_(o),
      window_(window_tokens(engine.config(), o)),
      steps_(position_spec(engine.config().position, engine.config().head_shape(), 0).depends_on_length),
      cache_(engine, o),
      system_(o.system),
      files_(o.files) {
  read_documents();
  if (!o.memory.empty()) open_memory();
}

/// Takes up the conversation where it ended: as many of the newest turns as the window could hold.
void Conversation::open_memory() {
  memory_ = cli::open_memory(o_, o_.memory, o_.embedder, retrieval::kConversation);
  if (system_.empty())
    system_ = memory_->system();
  else if (system_ != memory_->system())
    memory_->set_system(system_);
  int64_t tokens = 0;
  std::vector<ChatMessage> newest;
  for (int64_t number = memory_->turns(); number > 0 && tokens < window_; --number) {
    for (const retrieval::Turn& turn : memory_->between(number, number)) {
      tokens += tokens_of(turn.question) + tokens_of(turn.answer);
      newest.insert(newest.begin(), {{"user", turn.question}, {"assistant", turn.answer}});
    }
  }
  turns_ = std::move(newest);
  if (memory_->turns() > 0)
    remark(o_, "{}: the conversation goes on after {}", o_.memory, counted(memory_->turns(), "question"));
}

int64_t Conversation::tokens_of(const std::string& text) const {
  constexpr int64_t kAround = 8;  // of a message in a template
  return std::ssize(engine_.tokenizer().encode(text, {.add_special = false, .parse_special = false})) +
         kAround;
}

void Conversation::refuse_with_memory(const char* command) const {
  if (memory_)
    fail("{}: the conversation is kept in {}; leave, and begin with another --memory", command, o_.memory);
}

void Conversation::reset() {
  refuse_with_memory("/reset");
  turns_.clear();
}

bool Conversation::turn(const std::string& question) {
  read_documents();
  turns_.push_back({"user", question});
  try {
    return reply();
  } catch (...) {
    turns_.pop_back();
    throw;
  }
}

bool Conversation::reply() {
  Prompt asked = fitting_prompt();
  make_room(std::ssize(asked.ids) + o_.n);
  last_read_ = feed_prompt(*sequence_, asked, cache_, o_);
  if (!last_read_.complete) {
    turns_.pop_back();
    return false;
  }
  last_answer_ = answer(*sequence_, engine_, o_.n, chat_sampling(engine_.chat(), o_.sampling), o_);
  if (memory_) memory_->add(turns_.back().content, last_answer_.text);
  turns_.push_back({"assistant", last_answer_.text});
  Json fields = {{"answer", last_answer_.text}};
  if (memory_) {
    Json recalled = Json::array();
    for (const retrieval::Turn& turn : recalled_) recalled.push_back(turn.number);
    fields.update({{"turn", memory_->turns()}, {"held_turns", held_turns() - 1}, {"recalled", recalled}});
  }
  report_answer(o_, std::move(fields), last_read_, last_answer_);
  remark_limit(o_, last_answer_, o_.n);
  cache_.keep(*sequence_);
  return last_answer_.reason != StopReason::Interrupted;
}

/// Reads the files if one has changed.
void Conversation::read_documents() {
  if (files_.empty()) return;
  std::string stamp;
  for (const std::string& file : files_) stamp += file_stamp(file) + "\n";
  if (stamp == stamp_) return;
  std::string text = read_text(o_, files_);
  document_ = loaded_.empty() ? std::move(text) : loaded_ + "\n\n" + text;
  if (!stamp_.empty())
    remark(o_, "{} has changed and is read again", files_.size() == 1 ? files_.front() : "one of the files");
  stamp_ = stamp;
}

void Conversation::add_file(const std::string& file) {
  check_chat_file(file);
  auto files = files_;
  auto stamp = stamp_;
  files_.push_back(file);
  stamp_.clear();  // not a change of a file that was read before
  try {
    read_documents();
  } catch (...) {
    files_ = files;
    stamp_ = stamp;
    throw;
  }
  remark(o_, "{}: added to the document", file);
}

/// The document goes into the first question, so that the template sees an ordinary conversation.
std::vector<ChatMessage> Conversation::messages(const std::string& document) const {
  std::vector<ChatMessage> all;
  if (!system_.empty()) all.push_back({"system", system_});
  all.insert(all.end(), turns_.begin(), turns_.end());
  all.back().content = with_recalled(recalled_, all.back().content);
  if (!document.empty()) {
    ChatMessage& first = all[system_.empty() ? 0 : 1];
    first.content = document_message(document, first.content);
  }
  return all;
}

Prompt Conversation::prompt(const std::string& document) const {
  Prompt whole{.ids = engine_.prompts().encode(messages(document))};
  if (document.empty()) return whole;
  auto about = [&](const std::string& text, const char* question) {
    if (!question) return engine_.prompts().encode(messages(text));
    std::vector<ChatMessage> opening;
    if (!system_.empty()) opening.push_back({"system", system_});
    opening.push_back({"user", document_message(text, question)});
    return engine_.prompts().encode(opening);
  };
  whole.document = document_tokens(engine_, whole.ids, document, about);
  return whole;
}

/// The window of a conversation that has outgrown it: half of what the question leaves is for the newest
/// turns, the rest for older ones that matter. When the newest outgrow their half, a third of the oldest of
/// them leave at once: what comes before the question is then the same for many turns, and is not read again.
void Conversation::recall() {
  constexpr int64_t kMostRecalled = 64, kNames = 8;  // kNames: tokens of "User:" and "Assistant:"
  std::vector<ChatMessage> all = std::move(turns_);
  turns_ = {all.back()};
  int64_t room = window_ - o_.n - std::ssize(prompt(document_).ids);
  std::vector<int64_t> costs;
  int64_t held = 0;
  for (size_t i = 0; i + 1 < all.size(); i += 2) {
    costs.push_back(tokens_of(all[i].content) + tokens_of(all[i + 1].content));
    held += costs.back();
  }
  size_t dropped = 0;
  if (held > room / 2)
    while (dropped < costs.size() && held > room / 3) held -= costs[dropped++];
  turns_.assign(all.begin() + static_cast<ptrdiff_t>(2 * dropped), all.end());
  const int64_t frame = tokens_of(with_recalled({{}}, ""));
  int64_t left = room - held - frame;
  for (retrieval::Turn& turn :
       memory_->recall(turns_.back().content, memory_->turns() + 1 - held_turns(), kMostRecalled)) {
    int64_t cost = tokens_of(with_recalled({turn}, "")) - frame + kNames;
    if (cost > left) continue;
    left -= cost;
    recalled_.push_back(std::move(turn));
  }
}

/// With --truncate the oldest questions are dropped first, then parts of the document; without it, Error.
Prompt Conversation::fitting_prompt() {
  recalled_.clear();
  Prompt asked = prompt(document_);
  auto over = [&] { return std::ssize(asked.ids) > window_ - o_.n; };
  if (memory_ && (over() || held_turns() < memory_->turns())) {
    recall();
    asked = prompt(document_);
    // Tokens of parts are not quite those of the whole.
    for (; over() && !recalled_.empty(); asked = prompt(document_)) recalled_.pop_back();
    for (; over() && turns_.size() > 1; asked = prompt(document_))
      turns_.erase(turns_.begin(), turns_.begin() + 2);
    if (!recalled_.empty()) remark(o_, "recalled {} from before", counted(std::ssize(recalled_), "turn"));
  }
  int64_t dropped = 0;
  while (over() && !o_.truncate.empty() && turns_.size() > 1) {
    turns_.erase(turns_.begin(), turns_.begin() + 2);
    asked = prompt(document_);
    ++dropped;
  }
  if (dropped > 0) remark(o_, "forgot the {} to fit the window", counted(dropped, "oldest question"));
  if (over() && document_.empty()) refuse_length(engine_, o_, std::ssize(asked.ids) + o_.n, o_.n);
  if (over())
    asked = fit_document(engine_, o_, document_, o_.n, [this](const std::string& d) {
              return Prompts{prompt(d)};
            }).front();
  else
    check_memory(engine_, {.tokens = std::ssize(asked.ids) + o_.n});
  return asked;
}

/// A sequence with a declared length of at least `tokens`.
void Conversation::make_room(int64_t tokens) {
  if (sequence_ && sequence_->declared_length() >= tokens) return;
  int64_t step = steps_ ? kFirstStep : window_;
  while (step < tokens) step *= 2;
  step = std::min(step, window_);
  if (sequence_ && !sequence_->ids().empty())
    remark(o_, "the conversation outgrew {} tokens: reading it again for {}",
           grouped(sequence_->declared_length()), grouped(step));
  sequence_.emplace(engine_, step);
}

std::string Conversation::questions() const {
  return counted(memory_ ? memory_->turns() : held_turns(), "question");
}

void Conversation::save(const std::filesystem::path& file) const {
  if (std::error_code ignored; std::filesystem::exists(file, ignored)) {
    try {
      read_saved(file);
    } catch (const Error&) {
      fail("{}: already exists and is not a saved conversation; choose another name", file.string());
    }
  }
  Json list = Json::array();
  auto add = [&](const std::string& role, const std::string& content) {
    list.push_back({{"role", role}, {"content", content}});
  };
  if (memory_)
    for (const retrieval::Turn& turn : memory_->between(1, memory_->turns()))
      add("user", turn.question), add("assistant", turn.answer);
  else
    for (const ChatMessage& turn : turns_) add(turn.role, turn.content);
  write_file_atomic(file, dump_json({{"format", kSavedAs},
                                     {"model", o_.model},
                                     {"system", system_},
                                     {"files", files_},
                                     {"document", document_},
                                     {"messages", list}}) +
                              "\n");
  remark(o_, "{}: {} saved", file.string(), questions());
}

void Conversation::load(const std::filesystem::path& file) {
  refuse_with_memory("/load");
  Json json = read_saved(file);
  std::string system = text_of(json, "system", file.string()),
              document = text_of(json, "document", file.string());
  turns_ = turns_of(json, file.string());
  system_ = std::move(system);
  loaded_ = document_ = std::move(document);
  files_.clear();
  stamp_.clear();
  remark(o_, "{}: {} loaded", file.string(), questions());
}

std::string Conversation::statistics() const {
  int64_t tokens = sequence_ ? std::ssize(sequence_->ids()) : 0;
  std::string window = "a window without end";
  if (window_ < int64_t{1} << 40)
    window = fmt::format("a window of {} ({:.1f} %)", grouped(window_),
                         100.0 * static_cast<double>(tokens) / static_cast<double>(window_));
  std::string text = fmt::format("tokens: {} of {}, in {}\n", grouped(tokens), window, questions());
  if (sequence_ && last_answer_.seconds > 0) text += "speed: " + speed(last_read_, last_answer_) + "\n";
  int64_t pages = sequence_ ? std::ssize(sequence_->cache().pages()) : 0,
          page_bytes = sequence_ ? sequence_->cache().pool()->layout().page_bytes() : 0;
  return text + fmt::format("memory: {} of keys and values; {} in all, at most\n",
                            human_bytes(static_cast<double>(pages * page_bytes)),
                            human_bytes(static_cast<double>(peak_bytes())));
}

}  // namespace longspan::cli
