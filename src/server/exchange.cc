#include "server/exchange.h"

#include <algorithm>

#include "server/api_error.h"

namespace longspan::server {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kTurn{250};
constexpr std::chrono::seconds kSilence{10};

std::string event(const Json& value) { return "data: " + dump_json(value) + "\n\n"; }

ApiError error_of(const AnswerNews& news) {
  if (news.finish == Finish::TimedOut)
    return {504, "server_error", "the request's time was over before its answer was complete", "timeout",
            "timeout"};
  if (news.finish == Finish::Cancelled)
    return {503, "server_error", "the server is closing; the answer was broken off", "", "closing"};
  return {500, "server_error", news.error, "", "failed"};
}

bool well(Finish finish) {
  return finish == Finish::Length || finish == Finish::End || finish == Finish::Stop;
}

}  // namespace

Exchange::Exchange(std::shared_ptr<Answers> answers, Form form)
    : answers_(std::move(answers)),
      form_(std::move(form)),
      choices_(answers_->size()),
      told_(choices_.size(), false),
      written_(Clock::now()) {}

/// Takes the news; true when all answers have ended.
bool Exchange::gather() {
  bool all = true;
  for (size_t i = 0; i < choices_.size(); ++i) {
    Choice& choice = choices_[i];
    AnswerNews news = answers_->take(i);
    choice.text += news.text;
    choice.ids.insert(choice.ids.end(), news.ids.begin(), news.ids.end());
    std::move(news.tokens.begin(), news.tokens.end(), std::back_inserter(choice.tokens));
    if (!news.prompt.empty()) choice.prompt = std::move(news.prompt);
    if (!news.attention.empty()) choice.attention = std::move(news.attention);
    news.text.clear(), news.ids.clear(), news.tokens.clear(), news.prompt.clear();
    choice.last = std::move(news);
    all &= choice.last.finish != Finish::None;
  }
  return all;
}

Json Exchange::frame(const std::string& object) const {
  return {{"id", form_.id}, {"object", object}, {"created", form_.created}, {"model", form_.model}};
}

Json Exchange::usage() const {
  int64_t prompt = 0, cached = 0, written = 0;
  for (size_t i = 0; i < choices_.size(); ++i) {
    written += choices_[i].last.written;
    if (i % form_.choices_of_prompt != 0) continue;
    prompt += choices_[i].last.read;
    cached += choices_[i].last.reused;
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", written},
          {"total_tokens", prompt + written},
          {"prompt_tokens_details", {{"cached_tokens", cached}}}};
}

/// Of the first answer, under llama.cpp's names.
Json Exchange::timings() const {
  const AnswerNews& news = choices_[0].last;
  return {{"queued_ms", news.waited_s * 1e3},    {"cache_n", news.reused},
          {"prompt_n", news.read - news.reused}, {"prompt_ms", news.prefill_s * 1e3},
          {"predicted_n", news.written},         {"predicted_ms", news.decode_s * 1e3}};
}

/// Null where nobody asked, or nothing is known.
Json Exchange::attention() const {
  if (!form_.attention || choices_[0].attention.empty()) return nullptr;
  return form_.attention(choices_[0]);
}

Json Exchange::whole(const std::function<bool()>& left) {
  while (!gather()) {
    if (left()) return nullptr;
    answers_->wait(kTurn);
  }
  Json reply = frame(form_.object);
  Json& choices = reply["choices"] = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (!well(choices_[i].last.finish)) throw error_of(choices_[i].last);
    choices.push_back(form_.whole(choices_[i], i));
    if (form_.done) form_.done(choices_[i], i);
  }
  reply["usage"] = usage();
  reply["timings"] = timings();
  if (Json looked = attention(); !looked.is_null()) reply["attention"] = std::move(looked);
  if (!form_.sources.is_null()) reply["sources"] = form_.sources;
  return reply;
}

/// What a client may know before its answer begins: comments for the place in the queue, chunks where it
/// asked for progress.
void Exchange::add_progress(std::string& events) {
  const AnswerNews& news = choices_[0].last;
  bool moved = news.place != told_place_ || news.read != told_read_;
  if (!moved || choices_[0].begun) return;
  if (news.place != told_place_ && news.place > 0)
    events += ": place " + std::to_string(news.place) + " in the queue\n\n";
  told_place_ = news.place, told_read_ = news.read;
  if (!form_.progress) return;
  Json chunk = frame(form_.chunk_object);
  chunk["choices"] = Json::array();
  chunk["prompt_progress"] = {{"place", news.place}, {"processed", news.read}, {"cache", news.reused}};
  events += event(chunk);
}

bool Exchange::stream(const std::function<bool(const std::string&)>& write,
                      const std::function<bool()>& left) {
  answers_->wait(kTurn);
  bool all = gather();
  std::string events;
  add_progress(events);
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (told_[i]) continue;
    Finish finish = choices_[i].last.finish;
    if (finish != Finish::None && !well(finish)) {
      write(events + event(to_json(error_of(choices_[i].last))) + "data: [DONE]\n\n");
      return false;
    }
    for (Json& entry : form_.chunks(choices_[i], i)) {
      Json chunk = frame(form_.chunk_object);
      chunk["choices"] = Json::array({std::move(entry)});
      if (form_.include_usage) chunk["usage"] = nullptr;
      events += event(chunk);
    }
    told_[i] = finish != Finish::None;
    if (told_[i] && form_.done) form_.done(choices_[i], i);
  }
  if (all) {
    if (Json looked = attention(); !looked.is_null()) {
      Json chunk = frame(form_.chunk_object);
      chunk["choices"] = Json::array();
      chunk["attention"] = std::move(looked);
      events += event(chunk);
    }
    if (!form_.sources.is_null()) {
      Json chunk = frame(form_.chunk_object);
      chunk["choices"] = Json::array();
      chunk["sources"] = form_.sources;
      events += event(chunk);
    }
    if (form_.include_usage) {
      Json chunk = frame(form_.chunk_object);
      chunk["choices"] = Json::array();
      chunk["usage"] = usage();
      chunk["timings"] = timings();
      events += event(chunk);
    }
    events += "data: [DONE]\n\n";
  }
  auto now = Clock::now();
  if (events.empty() && now - written_ > kSilence) events = ": still here\n\n";
  if (events.empty()) return !left();
  written_ = now;
  return write(events) && !all;
}

}  // namespace longspan::server
