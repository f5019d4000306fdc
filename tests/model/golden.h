// The golden cases of tools/make_model_golden.py and make_family_golden.py: checkpoints, the rotary fields of
// their configs, ids and logits.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/gpu.h"
#include "kernels/host_tables.h"
#include "model/forward.h"

namespace longspan {

inline std::filesystem::path golden_dir() { return std::filesystem::path(LONGSPAN_GOLDEN) / "model"; }

struct GoldenCase {
  std::string name, checkpoint, position;
  Json fields;  // null, or fields that replace the rotary ones of config.json
  std::vector<int32_t> ids;
  std::vector<int64_t> rows;
  std::vector<float> logits;  // [rows, vocab]
};

constexpr int64_t kGoldenVocab = 64;

/// Those of one folder; their checkpoints are named relative to golden_dir().
inline std::vector<GoldenCase> golden_cases_of(const std::filesystem::path& folder) {
  std::ifstream file(folder / "logits.f32", std::ios::binary);
  std::vector<GoldenCase> cases;
  for (const Json& json : parse_json_file(folder / "cases.json")) {
    GoldenCase c{
        json["name"], json["checkpoint"], json["position"], json["fields"], json["ids"], json["rows"], {}};
    c.logits.resize(c.rows.size() * kGoldenVocab);
    file.read(reinterpret_cast<char*>(c.logits.data()),
              static_cast<std::streamsize>(c.logits.size() * sizeof(float)));
    if (!file) throw std::runtime_error("logits.f32 is too short");
    cases.push_back(std::move(c));
  }
  return cases;
}

inline std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases = golden_cases_of(golden_dir());
  for (GoldenCase& c : golden_cases_of(golden_dir() / "../family")) cases.push_back(std::move(c));
  return cases;
}

/// A checkpoint whose config says what the case says.
inline Checkpoint open_golden(const GoldenCase& c) {
  Checkpoint checkpoint = open_checkpoint(golden_dir() / c.checkpoint);
  if (c.fields.is_object()) {
    checkpoint.metadata.erase("rope_parameters");
    for (const auto& [key, value] : c.fields.items()) checkpoint.metadata[key] = value;
  }
  return checkpoint;
}

struct LoadedModel {
  Checkpoint checkpoint;
  Model model;
};

/// All implementations on the host that tests walk, and the GPU's where there is one.
inline std::vector<const Kernels*> all_kernels_here() {
  std::vector<const Kernels*> all = host_tables();
  if (gpu::device()) all.push_back(&gpu::device()->kernels());
  return all;
}

/// The device that computes with them.
inline std::shared_ptr<Device> device_with(const Kernels& k) {
  return k.on_host ? host_device(k) : gpu::device();
}

inline LoadedModel load_golden(const GoldenCase& c, const Kernels& k, Compute compute = Compute::F32) {
  LoadedModel m{open_golden(c), {}};
  m.model.config = read_config(m.checkpoint);
  m.model.device = device_with(k);
  m.model.weights = load_weights(m.checkpoint, m.model.config, *m.model.device);
  m.model.compute = compute;
  return m;
}

inline KvCache make_cache(const Model& model, const PositionSpec& spec, int64_t tokens,
                          DType dtype = DType::F32) {
  return KvCache(std::make_shared<KvPool>(
      *model.device, kv_layout(model.config, {dtype, dtype}, key_copies(spec)), pages_for(tokens)));
}

/// The next tokens of one sequence, the hidden states of all of which are wanted.
inline Batch all_rows(KvCache& cache, const PositionSpec& spec, std::span<const int32_t> ids) {
  Batch batch{.sequences = {{&cache, &spec, ids}}, .logits_rows = {}};
  for (size_t i = 0; i < ids.size(); ++i) batch.logits_rows.push_back(static_cast<int32_t>(i));
  return batch;
}

/// Logits of every row, [ids, V], fed in chunks whose sizes repeat the given list.
inline std::vector<float> run(const Model& model, const PositionSpec& spec, std::span<const int32_t> ids,
                              const std::vector<int64_t>& chunks, DType cache_dtype = DType::F32) {
  KvCache cache = make_cache(model, spec, std::ssize(ids), cache_dtype);
  Activations a = make_activations(model, spec, std::ssize(ids));
  std::vector<float> out;
  for (size_t n = 0, past = 0; past < ids.size(); ++n) {
    size_t count = std::min<size_t>(static_cast<size_t>(chunks[n % chunks.size()]), ids.size() - past);
    Tensor hidden = forward(model, all_rows(cache, spec, ids.subspan(past, count)), a);
    for (int64_t row = 0; row < hidden.rows(); row += kHeadRows) {
      int64_t rows = std::min(kHeadRows, hidden.rows() - row);
      Tensor logits = head_logits(model, hidden.slice(row, rows), a);
      std::vector<float> values = model.device->download<float>(logits);
      out.insert(out.end(), values.begin(), values.end());
    }
    past += count;
  }
  return out;
}

/// Largest absolute difference on the rows that the case keeps.
inline double golden_difference(const GoldenCase& c, const std::vector<float>& logits) {
  double worst = 0;
  for (size_t r = 0; r < c.rows.size(); ++r)
    for (size_t v = 0; v < kGoldenVocab; ++v) {
      double d = std::abs(static_cast<double>(logits[static_cast<size_t>(c.rows[r]) * kGoldenVocab + v]) -
                          c.logits[r * kGoldenVocab + v]);
      if (!(d <= worst)) worst = d;
    }
  return worst;
}

}  // namespace longspan
