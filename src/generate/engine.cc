#include "generate/engine.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "kernels/devices.h"
#include "model/adapter_files.h"
#include "model/model_files.h"
#include "position/stretch.h"

namespace longspan {

namespace {

ModelConfig configured(const Checkpoint& checkpoint, const EngineOptions& options,
                       std::optional<PositionConfig>& unstretched) {
  ModelConfig config = read_config(checkpoint);
  if (!options.adapter.empty()) config.position = position_with_adapter(options.adapter, config.position);
  if (needs_length(options.position)) {
    unstretched = config.position;
    config.position =
        stretch_method(options.position, config.position, config.position.trained_context).position;
  } else if (!options.position.empty()) {
    config.position = parse_position(options.position, config.position);
  }
  position_spec(config.position, config.head_shape(), 0);  // its errors come before weights are read
  return config;
}

MemoryFit memory_fit(const WeightsPlan& weights, const ModelConfig& config, const Kernels& k,
                     const EngineOptions& options, const MemoryUse& use, std::optional<int64_t> available) {
  MemoryPlan plan = plan_memory(weights, config, k, options.cache_types, options.chunk, use);
  MemoryFit fit = fit_memory(plan, config, options.cache_types, use, available);
  if (!k.on_host) fit.where = "the GPU";
  return fit;
}

Model load_model(const Checkpoint& checkpoint, const EngineSetup& setup, const EngineOptions& options,
                 const WeightsPlan& weights, std::optional<int64_t> available) {
  MemoryFit least =
      memory_fit(weights, setup.config, setup.device->kernels(), options, {.tokens = 1}, available);
  if (!least.fits())
    fail("{}: loading it takes {} of memory, and {} has {} free; use a smaller or a quantised model",
         checkpoint.path.string(), human_bytes(static_cast<double>(least.needed)), least.where,
         human_bytes(static_cast<double>(*available)));
  Model model;
  model.config = setup.config;
  model.device = setup.device;
  model.compute = setup.compute;
  model.sparse = options.sparse;
  model.weights = load_weights(checkpoint, model.config, *model.device);
  set_reading(model.weights, weights.reading, setup.compute);
  if (!options.adapter.empty()) load_adapter(options.adapter, model);
  return model;
}

}  // namespace

const char* name(Drafts drafts) { return drafts == Drafts::Off ? "off" : "ngram"; }

bool keys_depend_on_history(const PositionConfig& position) {
  auto length = position.values.find("length");
  return length != position.values.end() && length->second == kCurrentLength;
}

std::shared_ptr<Device> device_of(const EngineOptions& options) {
  return device_named(options.device, options.kernels.empty() ? kernels() : kernels_named(options.kernels));
}

EngineSetup engine_setup(const Checkpoint& checkpoint, const EngineOptions& options) {
  if (options.chunk < 1) fail("chunk of {} tokens: must be at least 1", options.chunk);
  std::optional<PositionConfig> unstretched;
  ModelConfig config = configured(checkpoint, options, unstretched);
  if (options.drafts != Drafts::Off && keys_depend_on_history(config.position))
    fail("--draft {}: under length=current keys cannot be taken back when a guess was wrong; use --draft off",
         name(options.drafts));
  if (options.eviction.keep > 0)
    if (std::string obstacle = eviction_obstacle(config, config.position, options.eviction);
        !obstacle.empty())
      fail("{}", obstacle);
  std::shared_ptr<Device> device = device_of(options);
  Compute compute = options.compute.value_or(device->kernels().preferred);
  if (compute == Compute::Int8 && !device->is_host())
    fail("--compute int8: products in 8 bits are the processor's; leave it out, or use --device cpu");
  if (options.sparse > 0 && !device->is_host())
    fail("--attention sparse is the processor's; leave it out, or use --device cpu");
  return {std::move(config), std::move(unstretched), std::move(device), compute,
          load_prompt_maker(checkpoint, options.chat_template)};
}

Engine::Engine(const std::filesystem::path& path, const EngineOptions& options)
    : Engine(open_checkpoint(path), options) {}

Engine::Engine(Checkpoint&& checkpoint, const EngineOptions& options)
    : Engine(std::move(checkpoint), engine_setup(checkpoint, options), options) {}

Engine::Engine(Checkpoint&& checkpoint, EngineSetup setup, const EngineOptions& options)
    : options_(options),
      free_(options.free_memory ? options.free_memory : setup.device->free_memory()),
      weights_(plan_weights(checkpoint, setup.config, setup.device->kernels(), setup.compute,
                            settled_reading(options.weights, checkpoint, setup.config,
                                            setup.device->kernels(), setup.compute, free_))),
      unstretched_(std::move(setup.unstretched)),
      model_(load_model(checkpoint, setup, options, weights_, free_)),
      prompts_(std::move(setup.prompts)),
      files_(std::move(checkpoint.files)) {
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"})
    if (!options.adapter.empty() && std::filesystem::exists(options.adapter / name))
      files_.emplace_back(options.adapter / name);
  if (checkpoint.format == CheckpointFormat::HuggingFace) config_text_ = dump_json(checkpoint.metadata);
  // The tokenizer holds the vocabulary now: the metadata's copy of it would double its memory.
  checkpoint.metadata = Json();
  ::malloc_trim(0);
}

std::string Engine::stretch_to(int64_t tokens) {
  if (!unstretched_) return {};
  StretchedMethod stretched = stretch_method(options_.position, *unstretched_, tokens);
  model_.config.position = std::move(stretched.position);
  return stretched.spec;
}

MemoryFit Engine::memory_for(const MemoryUse& use, const PositionConfig& position) const {
  ModelConfig config = model_.config;
  config.position = position;
  MemoryUse whole = use;
  whole.tokens += options_.eviction.keep;
  return memory_fit(weights_, config, model_.kernels(), options_, whole, free_);
}

Activations& Engine::step_buffers(const PositionSpec& spec) const {
  Rotations r = rotations(spec);
  std::array<int64_t, 3> key{std::ssize(r.queries), std::ssize(r.keys), rope_tables(config(), spec)};
  auto found = buffers_.find(key);
  if (found == buffers_.end())
    found = buffers_.emplace(key, make_activations(model_, spec, options_.chunk)).first;
  return found->second;
}

std::shared_ptr<KvPool> Engine::make_pool(int64_t copies, int64_t tokens) const {
  KvLayout layout = kv_layout(config(), options_.cache_types, copies);
  // Pages of the host are touched only when written, those of a GPU are taken at once.
  int64_t most = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  if (!model_.device->is_host()) most = model_.device->free_memory().value_or(most) * 9 / 10;
  int64_t machine = most / layout.page_bytes() + 1;
  return std::make_shared<KvPool>(*model_.device, layout, std::clamp<int64_t>(pages_for(tokens), 1, machine));
}

std::shared_ptr<const TokenTrie> Engine::token_trie() const {
  std::lock_guard lock(lazy_trie_->mutex);
  if (!lazy_trie_->trie)
    lazy_trie_->trie = std::make_shared<const TokenTrie>(longspan::token_trie(tokenizer()));
  return lazy_trie_->trie;
}

}  // namespace longspan
