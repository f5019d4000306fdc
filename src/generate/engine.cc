#include "generate/engine.h"

#include <fmt/ranges.h>
#include <malloc.h>

#include <algorithm>

#include "base/error.h"
#include "model/model_files.h"

namespace longspan {

namespace {

Model load_model(const Checkpoint& checkpoint, const EngineOptions& options) {
  Model model;
  model.config = read_config(checkpoint);
  if (!options.position.empty())
    model.config.position = parse_position(options.position, model.config.position);
  position_spec(model.config.position, model.config.head_shape(),
                0);  // a bad spec is refused before weights are read
  model.kernels = options.kernels.empty() ? &kernels() : &kernels_named(options.kernels);
  model.compute = options.compute.value_or(preferred_compute(*model.kernels));
  model.weights = load_weights(checkpoint, model.config);
  return model;
}

/// The vocabulary lives in the tokenizer now: the metadata's copy of it would double its memory.
void drop_vocabulary(Checkpoint& checkpoint) {
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.scores",
                          "tokenizer.ggml.token_type"})
    checkpoint.metadata.erase(key);
  ::malloc_trim(0);
}

}  // namespace

Engine::Engine(const std::filesystem::path& path, const EngineOptions& options)
    : checkpoint_(std::make_unique<Checkpoint>(open_checkpoint(path))),
      options_(options),
      model_(load_model(*checkpoint_, options)),
      tokenizer_(load_tokenizer(*checkpoint_)) {
  if (options_.chunk < 1) fail("chunk of {} tokens: must be at least 1", options_.chunk);
  if (auto found = find_chat_template(*checkpoint_, options.chat_template)) {
    template_.emplace(found->jinja, found->source);
    chat_stops_ = found->stop;
    prompt_suffix_ = found->suffix;
  }
  template_variables_ = chat_template_variables(*checkpoint_, tokenizer_);
  drop_vocabulary(*checkpoint_);
}

std::string Engine::render_chat(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const {
  if (!template_)
    fail("{}: the model carries no chat template; choose one with --chat-template, a file or one of: {}",
         checkpoint_->path.string(), fmt::join(builtin_chat_template_names(), ", "));
  return template_->render(messages, add_generation_prompt, template_variables_) +
         (add_generation_prompt ? prompt_suffix_ : "");
}

std::vector<int32_t> encode_chat(const Engine& engine, const std::string& rendered) {
  const Tokenizer& tokenizer = engine.tokenizer();
  std::vector<int32_t> ids = tokenizer.encode(rendered, {.add_special = false, .parse_special = true});
  // transformers' apply_chat_template adds no special tokens of the tokenizer's own: the template says all.
  return ids;
}

}  // namespace longspan
