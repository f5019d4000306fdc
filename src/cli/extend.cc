// extend, convert, merge: a model directory or GGUF file with a longer window or of another type; a directory
// with an adapter in its weights.
#include <memory>

#include "base/error.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/usage.h"
#include "model/adapter_files.h"
#include "model/write_gguf_model.h"
#include "model/write_model.h"
#include "position/stretch.h"

namespace longspan::cli {

namespace {

struct ExtendOptions : Options {
  int64_t to = 0;
  std::string out, type;
};

/// The positions that are asked for. Error when --to asks for nothing that the model does not have.
PositionConfig wished_position(const ExtendOptions& o, const PositionConfig& model) {
  if (needs_length(o.position) && o.to <= model.trained_context)
    fail(
        "--to {}: lies within the trained window of {}, so that there is nothing to stretch; give a larger "
        "one",
        o.to, grouped(model.trained_context));
  return stretch_method(o.position, model, o.to).position;
}

std::optional<DType> wished_type(const ExtendOptions& o) {
  return o.type.empty() ? std::nullopt : dtype_from_name(o.type);
}

bool wants_gguf(const ExtendOptions& o) { return std::filesystem::path(o.out).extension() == ".gguf"; }

/// The directory or, by the name's ending, the GGUF file.
std::vector<std::string> write_files(const ExtendOptions& o, const Checkpoint& checkpoint,
                                     const ModelConfig& config, const ModelWish& wish) {
  Progress go_on = [](int64_t, int64_t) { return !interrupted(); };
  if (!wants_gguf(o)) {
    if (wish.type && is_quantised(*wish.type))
      fail("{}: a directory holds f32, f16 or bf16; for {} name a GGUF file, as in -o {}.gguf", o.out, o.type,
           o.out);
    return write_model(checkpoint, config, wish, go_on);
  }
  if (!wish.replaced.empty())
    fail("{}: trained weights are written into a directory; convert that directory to GGUF afterwards",
         o.out);
  return write_gguf_model(checkpoint, config, {o.out, wish.type, wish.position, wish.window}, go_on);
}

int write(const ExtendOptions& o, const Checkpoint& checkpoint, const ModelConfig& config,
          const ModelWish& wish) {
  set_threads(o.threads > 0 ? o.threads : physical_cores());
  arm_interrupt();
  std::vector<std::string> remarks;
  try {
    remarks = write_files(o, checkpoint, config, wish);
  } catch (const Error&) {
    if (interrupted()) return kExitInterrupted;
    throw;
  }
  for (const std::string& sentence : remarks) remark(o, "{}", sentence);
  // Read back as the next reader will see it, which proves that it can be read.
  ModelConfig written = read_config(open_checkpoint(o.out));
  int64_t window = extended_context(written.position);
  if (window == 0) window = o.to;
  if (o.json) {
    print_json({{wants_gguf(o) ? "file" : "directory", o.out},
                {"position", describe(written.position)},
                {"window", window},
                {"remarks", remarks}});
  } else {
    remark(o, "{}: {}, a window of {} tokens", o.out, describe(written.position), grouped(window));
  }
  return kExitDone;
}

int extend(const ExtendOptions& o) {
  Checkpoint checkpoint = open_checkpoint(resolve_plain_model(o.model));
  ModelConfig config = read_config(checkpoint);
  for (const std::string& sentence : config.position.assumed) remark(o, "{}", sentence);
  return write(o, checkpoint, config, {o.out, wished_position(o, config.position), o.to, {}, wished_type(o)});
}

int convert(const ExtendOptions& o) {
  Checkpoint checkpoint = open_checkpoint(resolve_plain_model(o.model));
  return write(o, checkpoint, read_config(checkpoint), {o.out, std::nullopt, 0, {}, wished_type(o)});
}

int merge(const ExtendOptions& o) {
  Checkpoint checkpoint = open_checkpoint(resolve_plain_model(o.model));
  Model model;
  model.device = host_device(kernels());
  model.config = read_config(checkpoint);
  model.weights = load_weights(checkpoint, model.config, *model.device);
  const ModelConfig config = model.config;  // of the base: an adapter may separate its embedding and head
  ModelWish wish;
  wish.directory = o.out, wish.type = wished_type(o), wish.window = o.to;
  wish.replaced = load_adapter(o.adapter, model);
  Arena memory;
  for (NamedTensor& t : merged_weights(model, memory)) wish.replaced.push_back(std::move(t));
  if (std::string position = adapter_position(o.adapter); !position.empty())
    wish.position = parse_position(position, config.position);
  return write(o, checkpoint, config, wish);
}

CLI::Option* add_type_option(CLI::App& app, ExtendOptions& o, const char* text) {
  return app.add_option("--type", o.type, text)
      ->transform(
          one_of({"f32", "f16", "bf16", "q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1", "q4_0"}));
}

void add_shared_options(CLI::App& app, ExtendOptions& o) {
  app.add_option("-o,--out", o.out,
                 "directory or, with the ending .gguf, file to write; must not exist or be empty")
      ->required();
  app.add_option("-t,--threads", o.threads, "threads; default the physical cores")
      ->check(CLI::Range(1, 1024).description(""));
  add_output_options(app, o);
}

}  // namespace

Run define_extend(CLI::App& app) {
  auto o = std::make_shared<ExtendOptions>();
  add_model_argument(app, *o);
  app.add_option("--position", o->position, "position method NAME:key=value,... (longspan methods)")
      ->required();
  app.add_option("--to", o->to, "window to promise, tokens; sets the factor where none is given")
      ->required()
      ->transform(whole_number(1, int64_t{1} << 40));
  add_type_option(app, *o, "f32, f16, bf16; default the model's own, bf16 from GGUF");
  add_shared_options(app, *o);
  return [o] { return extend(*o); };
}

Run define_merge(CLI::App& app) {
  auto o = std::make_shared<ExtendOptions>();
  add_model_argument(app, *o);
  app.add_option("ADAPTER", o->adapter, "directory of the adapter, as `longspan train` writes it")
      ->required();
  app.add_option("--to", o->to,
                 "window to promise, tokens, where the adapter's positions have none of their own")
      ->transform(whole_number(1, int64_t{1} << 40));
  add_type_option(app, *o, "f32, f16, bf16; default the model's own, bf16 from GGUF");
  add_shared_options(app, *o);
  return [o] { return merge(*o); };
}

Run define_convert(CLI::App& app) {
  auto o = std::make_shared<ExtendOptions>();
  add_model_argument(app, *o);
  add_type_option(app, *o, "f32, f16, bf16; of GGUF also q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0")
      ->required();
  add_shared_options(app, *o);
  return [o] { return convert(*o); };
}

}  // namespace longspan::cli
