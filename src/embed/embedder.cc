// Texts are sorted by length and run in batches without padding; the vector of each is made on the host from
// the rows that the model gives.
#include "embed/embedder.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <mutex>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"
#include "embed/description.h"
#include "embed/last_token.h"
#include "kernels/devices.h"
#include "model/encoder.h"
#include "model/file_digest.h"
#include "model/model_files.h"

namespace longspan {

namespace {

/// Rows of a pass on the host: the factors of a product stay in the second cache (1,024 rows are a third
/// slower).
constexpr int64_t kHostRows = 384;

/// to [C] = the mean of rows of C elements.
void mean_row(std::span<float> to, std::span<const float> rows) {
  std::vector<double> sum(to.size());
  for (size_t i = 0; i < rows.size(); ++i) sum[i % to.size()] += rows[i];
  for (size_t i = 0; i < to.size(); ++i)
    to[i] = static_cast<float>(sum[i] * static_cast<double>(to.size()) / static_cast<double>(rows.size()));
}

void normalise(std::span<float> x) {
  double squares = 0;
  for (float v : x) squares += static_cast<double>(v) * v;
  double length = std::max(std::sqrt(squares), 1e-12);
  for (float& v : x) v = static_cast<float>(v / length);
}

/// A model whose files say neither: encoders take the mean as sentence-transformers does, decoders the last
/// token.
Pooling pooling_of(const EmbedderDescription& d, const EmbedderOptions& options, bool encoder,
                   const std::string& source) {
  Pooling p = !options.pooling.empty() ? pooling_named(options.pooling)
                                       : d.pooling.value_or(encoder ? Pooling::Mean : Pooling::Last);
  if (!encoder && p != Pooling::Last)
    fail("{}: decoders are embedded by their last token, not by {}", source, name(p));
  return p;
}

Instructions chosen_instructions(const EmbedderDescription& d, const EmbedderOptions& options,
                                 const std::string& architecture) {
  if (!options.task.empty()) return instructions_for(options.task);
  if (d.instructions) return *d.instructions;
  return instructions_for(architecture == "qwen3" ? "qwen3" : "none");
}

}  // namespace

struct Embedder::Impl {
  Checkpoint checkpoint;  // its files are mapped: weights may be views of them
  Tokenizer tokenizer;
  Pooling pooling = Pooling::Mean;
  Instructions instructions;
  std::string architecture, identity;
  std::vector<int32_t> prefix, suffix;
  int64_t dimensions = 0, max_tokens = 0, batch_tokens = 0;
  std::optional<Encoder> encoder;
  std::optional<LastToken> decoder;
  std::mutex mutex;                       // of the buffers
  std::optional<EncoderBuffers> buffers;  // as many rows as were needed so far

  Impl(Checkpoint&& opened) : checkpoint(std::move(opened)), tokenizer(load_tokenizer(checkpoint)) {}

  void load(const EmbedderOptions& options);
  void load_an_encoder(std::shared_ptr<Device> device, const EmbedderDescription& d, Compute compute);
  void load_a_decoder(std::shared_ptr<Device> device, const EmbedderDescription& d, Compute compute);
  std::string digest() const;
  std::vector<int32_t> framed(std::vector<int32_t> ids, int64_t* cut) const;
  void run(std::span<const std::span<const int32_t>> texts, std::span<float* const> to);
};

void Embedder::Impl::load(const EmbedderOptions& options) {
  std::string source = checkpoint.path.string();
  bool is_bert = is_encoder(checkpoint);
  EmbedderDescription d = describe_embedder(checkpoint);
  std::shared_ptr<Device> device =
      device_named(options.device, options.kernels.empty() ? kernels() : kernels_named(options.kernels));
  batch_tokens = std::max<int64_t>(1, options.batch_tokens);
  if (device->is_host()) batch_tokens = std::min(batch_tokens, kHostRows);
  prefix = tokenizer.prefix(), suffix = tokenizer.suffix();
  pooling = pooling_of(d, options, is_bert, source);
  if (is_bert)
    load_an_encoder(std::move(device), d, options.compute);
  else
    load_a_decoder(std::move(device), d, options.compute);
  instructions = chosen_instructions(d, options, architecture);
  auto around = static_cast<int64_t>(prefix.size() + suffix.size());
  if (max_tokens <= around)
    fail("{}: texts of {} tokens at most leave no room beside {} special tokens", source, max_tokens, around);
  identity = digest();
}

void Embedder::Impl::load_an_encoder(std::shared_ptr<Device> device, const EmbedderDescription& d,
                                     Compute compute) {
  EncoderConfig config = read_encoder_config(checkpoint);
  if (tokenizer.vocab_size() > config.vocab_size)
    fail("{}: the tokenizer has {} tokens, the model only {}", checkpoint.path.string(),
         tokenizer.vocab_size(), config.vocab_size);
  architecture = "bert";
  dimensions = config.hidden_size;
  max_tokens =
      std::min(d.max_tokens.value_or(config.max_position_embeddings), config.max_position_embeddings);
  encoder = load_encoder(checkpoint, config, std::move(device), compute);
}

void Embedder::Impl::load_a_decoder(std::shared_ptr<Device> device, const EmbedderDescription& d,
                                    Compute compute) {
  decoder = load_last_token(checkpoint, std::move(device), compute);
  const ModelConfig& config = decoder->model->config;
  architecture = config.architecture;
  dimensions = config.hidden_size;
  int64_t window = std::max(config.position.trained_context, config.position.declared_context);
  if (window <= 0) window = 32768;
  max_tokens = std::min(d.max_tokens.value_or(window), window);
  if (!suffix.empty()) return;
  // The vector is that of the token that ends the text.
  int32_t end = tokenizer.token_id("<|endoftext|>");
  if (end < 0) end = tokenizer.eos_id();
  if (end < 0)
    fail("{}: the tokenizer has no token that ends a text, whose row would be its vector",
         checkpoint.path.string());
  suffix = {end};
}

std::string Embedder::Impl::digest() const {
  std::string all = checkpoint.format == CheckpointFormat::HuggingFace ? dump_json(checkpoint.metadata) : "";
  for (const MappedFile& file : checkpoint.files) all += "\n" + file_digest(file.bytes());
  // GGUF files hold their vocabulary; of a directory the file that load_tokenizer reads first.
  if (checkpoint.format == CheckpointFormat::HuggingFace)
    for (const char* file : {"tokenizer.json", "tokenizer.model", "vocab.txt"})
      if (std::filesystem::exists(checkpoint.path / file)) {
        all += "\n" + text_digest(read_file(checkpoint.path / file));
        break;
      }
  all += fmt::format("\n{}\n{}\n{}\n{}", name(pooling), max_tokens, instructions.query, instructions.key);
  return text_digest(all);
}

std::vector<int32_t> Embedder::Impl::framed(std::vector<int32_t> ids, int64_t* cut) const {
  auto room = static_cast<size_t>(max_tokens) - prefix.size() - suffix.size();
  if (cut) *cut = std::max<int64_t>(0, std::ssize(ids) - static_cast<int64_t>(room));
  if (ids.size() > room) ids.resize(room);
  ids.insert(ids.begin(), prefix.begin(), prefix.end());
  ids.insert(ids.end(), suffix.begin(), suffix.end());
  return ids;
}

/// One batch; to[s] receives the vector of text s.
void Embedder::Impl::run(std::span<const std::span<const int32_t>> texts, std::span<float* const> to) {
  auto C = static_cast<size_t>(dimensions);
  auto copy = [&](const std::vector<float>& rows) {
    for (size_t s = 0; s < to.size(); ++s) std::copy_n(rows.data() + s * C, C, to[s]);
  };
  if (decoder) {
    copy(decoder->rows_of(texts, batch_tokens));
  } else {
    int64_t rows = 0;
    for (const auto& text : texts) rows += std::ssize(text);
    if (!buffers || buffers->rows < rows) {
      buffers.reset();
      buffers = make_encoder_buffers(*encoder, std::max(rows, std::min(2 * rows, batch_tokens)));
    }
    Tensor hidden = longspan::encode(*encoder, texts, *buffers);
    if (pooling == Pooling::Mean) {
      std::vector<float> all = encoder->device->download<float>(hidden);
      std::span<const float> left(all);
      for (size_t s = 0; s < texts.size(); ++s) {
        mean_row({to[s], C}, left.first(texts[s].size() * C));
        left = left.subspan(texts[s].size() * C);
      }
    } else {
      std::vector<int32_t> which;
      int32_t first = 0;
      for (const auto& text : texts) {
        auto next = static_cast<int32_t>(first + std::ssize(text));
        which.push_back(pooling == Pooling::Cls ? first : next - 1);
        first = next;
      }
      copy(encoder->device->download<float>(pick_rows(*encoder, hidden, which, *buffers)));
    }
  }
  for (float* vector : to) normalise({vector, C});
}

Embedder::Embedder(const std::filesystem::path& path, const EmbedderOptions& options)
    : impl_(std::make_unique<Impl>(open_checkpoint(path))) {
  impl_->load(options);
}
Embedder::~Embedder() = default;
Embedder::Embedder(Embedder&&) noexcept = default;
Embedder& Embedder::operator=(Embedder&&) noexcept = default;

int64_t Embedder::dimensions() const { return impl_->dimensions; }
int64_t Embedder::max_tokens() const { return impl_->max_tokens; }
const std::string& Embedder::identity() const { return impl_->identity; }

std::string Embedder::description() const {
  return fmt::format("{}, {} dimensions, texts of {} tokens, {} pooling, instructions: {}",
                     impl_->architecture, impl_->dimensions, grouped(impl_->max_tokens), name(impl_->pooling),
                     impl_->instructions.task);
}

int64_t Embedder::count_tokens(std::string_view text) const {
  return std::ssize(impl_->tokenizer.encode(text, {.add_special = false, .parse_special = true}));
}

std::vector<int32_t> Embedder::encode(std::string_view text, EmbedSide side, int64_t* cut) const {
  const Instructions& own = impl_->instructions;
  std::string whole = (side == EmbedSide::Query ? own.query : own.key) + std::string(text);
  return impl_->framed(impl_->tokenizer.encode(whole, {.add_special = false, .parse_special = true}), cut);
}

std::vector<int32_t> Embedder::encode_ids(std::span<const int32_t> ids, EmbedSide side, int64_t* cut) const {
  const Instructions& own = impl_->instructions;
  std::vector<int32_t> whole = impl_->tokenizer.encode(side == EmbedSide::Query ? own.query : own.key,
                                                       {.add_special = false, .parse_special = true});
  for (int32_t id : ids)
    if (id < 0 || id >= impl_->tokenizer.vocab_size())
      fail("token id {} is outside the vocabulary of {}", id, impl_->tokenizer.vocab_size());
  whole.insert(whole.end(), ids.begin(), ids.end());
  return impl_->framed(std::move(whole), cut);
}

std::vector<float> Embedder::embed(std::span<const std::string> texts, EmbedSide side) const {
  std::vector<std::vector<int32_t>> ids(texts.size());
  parallel_for(std::ssize(texts),
               [&](int64_t i) { ids[static_cast<size_t>(i)] = encode(texts[static_cast<size_t>(i)], side); });
  return embed_encoded(ids);
}

std::vector<float> Embedder::embed_encoded(std::span<const std::vector<int32_t>> texts) const {
  std::lock_guard lock(impl_->mutex);
  std::vector<float> out(texts.size() * static_cast<size_t>(impl_->dimensions));
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return texts[a].size() > texts[b].size(); });
  for (size_t at = 0; at < order.size();) {
    std::vector<std::span<const int32_t>> batch;
    std::vector<float*> to;
    int64_t rows = 0;
    for (; at < order.size() && std::ssize(batch) < kMostTexts; ++at) {
      const std::vector<int32_t>& text = texts[order[at]];
      assert(!text.empty() && std::ssize(text) <= impl_->max_tokens);
      if (rows > 0 && rows + std::ssize(text) > impl_->batch_tokens) break;
      rows += std::ssize(text);
      batch.emplace_back(text);
      to.push_back(out.data() + order[at] * static_cast<size_t>(impl_->dimensions));
    }
    impl_->run(batch, to);
  }
  return out;
}

}  // namespace longspan
