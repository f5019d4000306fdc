// plan: what it takes to stretch a model to a window of N tokens.
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "model/flops.h"
#include "model/memory.h"
#include "position/advice.h"
#include "position/laws.h"
#include "position/published_trainings.h"
#include "position/stretch.h"

namespace longspan::cli {

namespace {

struct PlanOptions : Options {
  int64_t to = 0;
  double gpu_tflops = 989, gpu_fraction = 0.3;
};

/// The memory of one method and cache type, against what is available.
struct MemoryRow {
  std::string position;
  CacheTypes cache_types;
  int64_t key_copies = 1;
  MemoryPlan plan;
  bool fits = false;
  int64_t longest = 0;  // tokens that would fit, whole pages
};

/// Everything that is printed, computed once.
struct Plan {
  ModelConfig config;
  BaseLaws laws;
  Advice untrained, trained;
  std::string method;  // --position, else the trained advice
  double base = 0;
  int64_t parameters = 0;
  std::vector<MemoryRow> memory;
  int64_t available = 0;  // bytes; 0: the system does not say
};

MemoryRow memory_row(const PlanOptions& o, const Checkpoint& checkpoint, const ModelConfig& stretched,
                     CacheTypes cache_types, const Device& device, int64_t available) {
  EngineOptions engine = engine_options(o);
  const Kernels& k = device.kernels();
  MemoryRow row;
  row.position = describe(stretched.position);
  row.cache_types = cache_types;
  row.key_copies = key_copies(stretched, o.to);
  Compute compute = engine.compute.value_or(k.preferred);
  WeightReading reading = settled_reading(engine.weights, checkpoint, stretched, k, compute,
                                          available > 0 ? std::optional(available) : std::nullopt);
  row.plan = plan_memory(checkpoint, stretched, k, compute, reading, cache_types, engine.chunk, o.to);
  row.fits = row.plan.total() <= available;
  row.longest = longest_context(row.plan, stretched, cache_types, row.key_copies, available);
  return row;
}

/// For the planned method and, unless the user named it, for the one advised without training. The two are
/// compared in canonical form, so that equal methods give one table.
std::vector<MemoryRow> memory_rows(const PlanOptions& o, const Checkpoint& checkpoint, const Plan& plan,
                                   const Device& device) {
  std::vector<std::string> positions = {plan.method};
  if (o.position.empty() && !plan.untrained.position.empty()) {
    std::string untrained = describe(parse_position(plan.untrained.position, plan.config.position));
    if (untrained != plan.method) positions.push_back(untrained);
  }
  std::vector<MemoryRow> rows;
  for (const std::string& position : positions) {
    ModelConfig stretched = plan.config;
    stretched.position = parse_position(position, plan.config.position);
    std::vector<CacheTypes> types;
    for (DType dtype : cache_dtypes())
      if (plan.config.head_dim % dtype_info(dtype).block_elements == 0) types.push_back({dtype, dtype});
    if (CacheTypes wanted = parse_cache_types(o.cache_type); wanted.keys != wanted.values)
      types.push_back(wanted);
    for (CacheTypes cache : types)
      rows.push_back(memory_row(o, checkpoint, stretched, cache, device, plan.available));
  }
  return rows;
}

Plan make_plan(const PlanOptions& o, const Checkpoint& checkpoint) {
  Plan plan;
  plan.config = read_config(checkpoint);
  const PositionConfig& model = plan.config.position;
  if (model.trained_context <= 0)
    fail("{}: states no window, so there is nothing to plan from", checkpoint.path.string());
  HeadShape shape = plan.config.head_shape();
  plan.laws = base_laws(model, shape, o.to);
  plan.untrained = advise_untrained(model, shape, o.to);
  plan.trained = advise_trained(model, shape, o.to);
  PositionConfig chosen =
      stretch_method(o.position.empty() ? plan.trained.position : o.position, model, o.to).position;
  plan.method = describe(chosen);
  plan.base = chosen.base;
  plan.parameters = multiplied_parameters(plan.config);
  std::shared_ptr<Device> device = device_of(engine_options(o));
  plan.available = device->free_memory().value_or(0);
  plan.memory = memory_rows(o, checkpoint, plan, *device);
  return plan;
}

double gpu_hours(const PlanOptions& o, const Plan& plan, double tokens, int64_t length) {
  return tokens * training_flops_per_token(plan.config, length) / (o.gpu_tflops * 1e12 * o.gpu_fraction) /
         3600;
}

const MemoryRow& wanted_row(const PlanOptions& o, const Plan& plan) {
  CacheTypes wanted = parse_cache_types(o.cache_type);
  for (const MemoryRow& row : plan.memory)
    if (row.cache_types == wanted) return row;
  return plan.memory.front();
}

Json plan_json(const PlanOptions& o, const Plan& plan) {
  const PositionConfig& model = plan.config.position;
  Json chosen = Json::array(), recipes = Json::array(), memory = Json::array();
  for (const ChosenBase& c : chosen_bases())
    chosen.push_back({{"model", c.model}, {"head_dim", c.head_dim}, {"window", c.window}, {"base", c.base}});
  for (const PublishedTraining& r : published_trainings())
    recipes.push_back({{"name", r.name},
                       {"parameters", r.parameters},
                       {"from", r.from},
                       {"to", r.to},
                       {"tokens", r.tokens},
                       {"outcome", r.outcome},
                       {"gpu_hours", gpu_hours(o, plan, r.tokens, o.to)}});
  for (const MemoryRow& m : plan.memory)
    memory.push_back({{"method", m.position},
                      {"cache_type", describe(m.cache_types)},
                      {"key_copies", m.key_copies},
                      {"kv_bytes", m.plan.kv_cache},
                      {"total_bytes", m.plan.total()},
                      {"fits", m.fits},
                      {"longest", m.longest}});
  const PublishedTraining& nearest = nearest_training(static_cast<double>(plan.parameters), o.to);
  return {{"method", plan.method},
          {"base", plan.base},
          {"memory_bytes", wanted_row(o, plan).plan.total()},
          {"window",
           {{"trained", model.trained_context},
            {"reached", extended_context(model)},
            {"asked", o.to},
            {"factor", static_cast<double>(o.to) / static_cast<double>(model.trained_context)}}},
          {"laws",
           {{"critical_dimension", plan.laws.critical_dimension},
            {"extrapolation_limit", plan.laws.extrapolation_limit},
            {"base_for_limit", plan.laws.base_for_limit},
            {"smallest_base", plan.laws.smallest_base},
            {"fitted_smallest_base", plan.laws.fitted_smallest_base},
            {"recommended", plan.laws.recommended}}},
          {"chosen_bases", chosen},
          {"untrained",
           {{"method", plan.untrained.position.empty() ? Json() : Json(plan.untrained.position)},
            {"why", plan.untrained.why}}},
          {"trained", {{"method", plan.trained.position}, {"why", plan.trained.why}}},
          {"training",
           {{"recipe", nearest.name},
            {"tokens", nearest.tokens},
            {"flops_per_token", training_flops_per_token(plan.config, o.to)},
            {"gpu_hours", gpu_hours(o, plan, nearest.tokens, o.to)},
            {"gpu_tflops", o.gpu_tflops},
            {"gpu_fraction", o.gpu_fraction}}},
          {"recipes", recipes},
          {"available_bytes", plan.available},
          {"memory", memory}};
}

std::string window_text(const PlanOptions& o, const Plan& plan) {
  const PositionConfig& model = plan.config.position;
  double factor = static_cast<double>(o.to) / static_cast<double>(model.trained_context);
  return fmt::format("window now {} ({}), trained for {}; asked {}, {:.4g} times that\n",
                     grouped(extended_context(model)), describe(model), grouped(model.trained_context),
                     grouped(o.to), factor);
}

std::string laws_text(const PlanOptions& o, const Plan& plan) {
  const BaseLaws& l = plan.laws;
  int64_t r = plan.config.rotary_dim;
  std::string out =
      fmt::format("\nbase, now {:.6g}, for {} tokens\n", plan.config.position.base, grouped(o.to));
  auto row = [&](double base, const std::string& text) {
    out += fmt::format("  {:>10.4g}  {}\n", base, text);
  };
  row(l.base_for_limit,
      fmt::format(
          "critical dimension {} of {}, (N / 2 pi)^({} / {}); the base now covers {:.0f} (arXiv 2310.05209)",
          l.critical_dimension, r, r, l.critical_dimension, l.extrapolation_limit));
  if (l.smallest_base > 0)
    row(l.smallest_base, fmt::format("lower bound at head size {}, computed (arXiv 2405.14591)", r));
  row(l.fitted_smallest_base, "the same paper's fit for head size 128, 0.0424 N^1.628");
  for (const ChosenBase& c : chosen_bases())
    row(c.base, fmt::format("chosen for {} tokens by {}", grouped(c.window), c.model));
  return out;
}

std::string method_text(const PlanOptions& o, const Plan& plan) {
  std::string out = fmt::format("\nmethod\n  without training  {}\n    {}\n  with training     {}\n    {}\n",
                                plan.untrained.position.empty() ? "none holds" : plan.untrained.position,
                                plan.untrained.why, plan.trained.position, plan.trained.why);
  if (!o.position.empty()) out += fmt::format("  chosen            {}\n", plan.method);
  return out;
}

std::string training_text(const PlanOptions& o, const Plan& plan) {
  std::string out = fmt::format(
      "\ntraining: tokens that others took, and GPU hours for this model in sequences of {} tokens\n"
      "  ({:.3g} FLOPs a token: 6 x {:.4g} parameters + causal attention; a GPU of {:.0f} TFLOP/s at {:.0f} "
      "%,\n"
      "  default an H100 or H200 in BF16 by its data sheet, and what the trial's training reached: 28 to 35 "
      "%)\n",
      grouped(o.to), training_flops_per_token(plan.config, o.to), static_cast<double>(plan.parameters),
      o.gpu_tflops, o.gpu_fraction * 100);
  const PublishedTraining& nearest = nearest_training(static_cast<double>(plan.parameters), o.to);
  for (const PublishedTraining& r : published_trainings())
    out += fmt::format("{} {:>8.3g} tokens {:>10.3g} h  {}, {} to {}: {}\n", &r == &nearest ? "*" : " ",
                       r.tokens, gpu_hours(o, plan, r.tokens, o.to), r.name, grouped(r.from), grouped(r.to),
                       r.outcome);
  return out + "  * nearest in size; how tokens grow with the size of a model was not measured\n";
}

std::string memory_text(const PlanOptions& o, const Plan& plan) {
  std::string out = fmt::format("\nmemory for {} tokens; this machine has {} available\n", grouped(o.to),
                                human_bytes(static_cast<double>(plan.available)));
  std::string shown;
  for (const MemoryRow& m : plan.memory) {
    if (m.position != shown)
      out += fmt::format("  {}{}\n", m.position,
                         m.key_copies > 1 ? fmt::format(" (keeps {} copies of the keys)", m.key_copies) : "");
    shown = m.position;
    out += fmt::format("    {:<5} keys and values {:>10}  total {:>10}  {}; up to {} tokens fit\n",
                       describe(m.cache_types), human_bytes(static_cast<double>(m.plan.kv_cache)),
                       human_bytes(static_cast<double>(m.plan.total())), m.fits ? "fits" : "does not fit",
                       grouped(m.longest));
  }
  return out;
}

int run_plan(const PlanOptions& o) {
  Checkpoint checkpoint = open_checkpoint(resolve_plain_model(o.model));
  Plan plan = make_plan(o, checkpoint);
  for (const std::string& sentence : plan.config.position.assumed) remark(o, "{}", sentence);
  if (o.json)
    print_json(plan_json(o, plan));
  else
    print_now(window_text(o, plan) + laws_text(o, plan) + method_text(o, plan) + training_text(o, plan) +
              memory_text(o, plan));
  return kExitDone;
}

}  // namespace

Run define_plan(CLI::App& app) {
  auto o = std::make_shared<PlanOptions>();
  add_model_argument(app, *o);
  app.add_option("--to", o->to, "window to reach, tokens")
      ->required()
      ->transform(whole_number(2, int64_t{1} << 40));
  app.add_option("--gpu-tflops", o->gpu_tflops, "peak of the GPU in BF16; default 989")
      ->check(CLI::Range(0.001, 1e6).description(""));
  app.add_option("--gpu-fraction", o->gpu_fraction, "share of it that training reaches; default 0.3")
      ->check(CLI::Range(0.001, 1.0).description(""));
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] { return run_plan(*o); };
}

}  // namespace longspan::cli
