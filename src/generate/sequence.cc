// Feeding, scoring and continuing one text.
#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/text.h"
#include "generate/engine.h"

namespace longspan {

Sequence::Sequence(const Engine& engine, int64_t declared_length)
    : Sequence(engine, declared_length, engine.config().position) {}

Sequence::Sequence(const Engine& engine, int64_t declared_length, const PositionConfig& position)
    : engine_(engine),
      position_(position),
      declared_(declared_length),
      spec_(position_spec(position, engine.config().head_shape(), declared_length)),
      cache_(engine.config(), engine.options().cache_dtype,
             static_cast<int64_t>(rotations(spec_).keys.size())),
      activations_(make_activations(
          engine.config(), spec_, std::min(engine.options().chunk, std::max<int64_t>(1, declared_length)))) {}

Tensor Sequence::forward_chunk(std::span<const int32_t> ids) {
  auto past = static_cast<int64_t>(ids_.size()), count = static_cast<int64_t>(ids.size());
  if (past + count > declared_)
    fail("the text grew to {} tokens, but the sequence was declared for {}; ask for a longer context",
         past + count, declared_);
  cache_.reserve(past + count);
  Tensor hidden = forward(engine_.model(), spec_, cache_, Batch{ids, past}, activations_);
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  return hidden;
}

void Sequence::follow_current_length(size_t more) {
  auto length = position_.values.find("length");
  if (length == position_.values.end() || length->second != kCurrentLength) return;
  spec_ = position_spec(position_, engine_.config().head_shape(), static_cast<int64_t>(ids_.size() + more));
}

bool Sequence::feed(std::span<const int32_t> ids, const Progress& progress) {
  follow_current_length(ids.size());
  for (size_t done = 0; done < ids.size();) {
    size_t count = std::min(ids.size() - done, static_cast<size_t>(activations_.rows));
    Tensor hidden = forward_chunk(ids.subspan(done, count));
    done += count;
    if (done == ids.size()) {
      Tensor last =
          head_logits(engine_.model(), hidden.slice(static_cast<int64_t>(count) - 1, 1), activations_);
      logits_.assign(last.row(0), last.row(0) + last.cols());
    }
    if (progress && !progress(static_cast<int64_t>(done), static_cast<int64_t>(ids.size()))) return false;
  }
  return true;
}

/// Row r of hidden predicts next[r].
void Sequence::append_log_probs(Tensor hidden, std::span<const int32_t> next, std::vector<float>& out) {
  auto start = std::chrono::steady_clock::now();
  for (size_t r = 0; r < next.size(); r += kHeadRows) {
    size_t rows = std::min(next.size() - r, static_cast<size_t>(kHeadRows));
    Tensor logits = head_logits(
        engine_.model(), hidden.slice(static_cast<int64_t>(r), static_cast<int64_t>(rows)), activations_);
    size_t at = out.size();
    out.resize(at + rows);
    engine_.model().kernels->log_prob(vector_view(out.data() + at, DType::F32, static_cast<int64_t>(rows)),
                                      logits, next.subspan(r, rows));
  }
  head_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool Sequence::score(std::span<const int32_t> ids, std::vector<float>& out, const Progress& progress,
                     size_t from) {
  follow_current_length(ids.size());
  for (size_t done = 0; done < ids.size();) {
    size_t count = std::min(ids.size() - done, static_cast<size_t>(activations_.rows));
    Tensor hidden = forward_chunk(ids.subspan(done, count));
    size_t first = std::max(from, done + 1),           // the first token that this chunk is asked about
        end = std::min(ids.size(), done + count + 1);  // the last token of all predicts nothing
    if (first < end)
      append_log_probs(
          hidden.slice(static_cast<int64_t>(first - done - 1), static_cast<int64_t>(end - first)),
          ids.subspan(first, end - first), out);
    done += count;
    if (progress && !progress(static_cast<int64_t>(done), static_cast<int64_t>(ids.size()))) return false;
  }
  return true;
}

void Sequence::truncate(int64_t n) {
  cache_.truncate(n);
  ids_.resize(static_cast<size_t>(n));
}

namespace {

/// Text on its way out: holds back what may become a stop string or is half a character.
class Outgoing {
 public:
  Outgoing(const std::vector<std::string>& stops, const std::function<bool(std::string_view)>& on_text)
      : stops_(stops), on_text_(on_text) {}

  /// False: the receiver wants no more.
  bool add(std::string_view bytes) {
    text_ += bytes;
    for (const std::string& stop : stops_) {
      size_t from = sent_ > stop.size() ? sent_ - stop.size() : 0,
             at = stop.empty() ? std::string::npos : text_.find(stop, from);
      if (at != std::string::npos && at < stop_at_) stop_at_ = at;
    }
    if (stopped()) text_.resize(stop_at_);
    return send(stopped() ? text_.size() : text_.size() - held());
  }
  bool stopped() const { return stop_at_ != std::string::npos; }
  void finish() { send(text_.size()); }
  std::string text() const { return valid_utf8(text_); }

 private:
  /// Bytes at the end that may be the beginning of a stop string or of a character.
  size_t held() const {
    size_t held = text_.size() - complete_utf8_prefix(text_);
    for (const std::string& stop : stops_)
      for (size_t n = std::min(stop.size() - (stop.empty() ? 0 : 1), text_.size()); n > held; --n)
        if (text_.compare(text_.size() - n, n, stop, 0, n) == 0) held = n;
    return held;
  }
  bool send(size_t end) {
    if (end <= sent_) return true;
    std::string part = valid_utf8(std::string_view(text_).substr(sent_, end - sent_));
    sent_ = end;
    return !on_text_ || on_text_(part);
  }

  const std::vector<std::string>& stops_;
  const std::function<bool(std::string_view)>& on_text_;
  std::string text_;
  size_t sent_ = 0, stop_at_ = std::string::npos;
};

/// Stop strings that are special tokens: these add nothing to the text, so it cannot show them.
std::vector<int32_t> stop_tokens(const Tokenizer& tokenizer, const std::vector<std::string>& stops) {
  std::vector<int32_t> ids;
  for (const std::string& stop : stops)
    if (int32_t id = tokenizer.token_id(stop); id >= 0 && tokenizer.is_special(id)) ids.push_back(id);
  return ids;
}

}  // namespace

Generation generate(Sequence& sequence, const Engine& engine, int64_t max_tokens,
                    const SamplingOptions& sampling, const std::function<bool(std::string_view)>& on_text) {
  Sampler sampler(sampling);
  Outgoing out(sampling.stop, on_text);
  const std::vector<int32_t>& ends = engine.tokenizer().stop_ids();
  const std::vector<int32_t> stops = stop_tokens(engine.tokenizer(), sampling.stop);
  Generation result;
  auto start = std::chrono::steady_clock::now();
  while (static_cast<int64_t>(result.ids.size()) < max_tokens) {
    int32_t id = sampler.sample(sequence.logits(), sequence.ids());
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) {
      result.reason = StopReason::EndToken;
      break;
    }
    if (std::find(stops.begin(), stops.end(), id) != stops.end()) {
      result.reason = StopReason::StopString;
      break;
    }
    result.ids.push_back(id);
    if (!out.add(engine.tokenizer().token_bytes(id))) {
      result.reason = StopReason::Interrupted;
      break;
    }
    if (out.stopped()) {
      result.reason = StopReason::StopString;
      break;
    }
    if (static_cast<int64_t>(result.ids.size()) < max_tokens) sequence.feed({&id, 1});
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (result.reason != StopReason::Interrupted) out.finish();
  result.text = out.text();
  return result;
}

}  // namespace longspan
