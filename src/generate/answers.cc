#include "generate/answers.h"

#include <utility>

namespace longspan {

AnswerNews Answers::take(size_t i) {
  std::lock_guard lock(mutex_);
  AnswerNews news = std::move(news_[i]);
  AnswerNews& left = news_[i];
  left = {};
  left.place = news.place, left.read = news.read, left.reused = news.reused, left.stored = news.stored;
  left.written = news.written, left.finish = news.finish, left.error = news.error;
  left.waited_s = news.waited_s, left.prefill_s = news.prefill_s, left.decode_s = news.decode_s;
  return news;
}

bool Answers::wait(std::chrono::milliseconds at_most) {
  std::unique_lock lock(mutex_);
  bool news = changed_.wait_for(lock, at_most, [&] { return told_ != seen_; });
  seen_ = told_;
  return news;
}

void Answers::tell(size_t i, const std::function<void(AnswerNews&)>& change) {
  {
    std::lock_guard lock(mutex_);
    change(news_[i]);
    ++told_;
  }
  changed_.notify_all();
}

}  // namespace longspan
