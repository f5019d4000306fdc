// Any bytes as a snapshot of a training run: an Error or a state that a run can go on from. An even first
// byte: the rest is the whole file. Odd: the rest is the header, which is followed by as many values as the
// model has. The digest, which only a forger would mend, is made right.
#include <xxhash.h>

#include <cstring>
#include <memory>

#include "base/error.h"
#include "fuzz_file.h"
#include "model/gradients.h"
#include "train/jumps.h"
#include "train/snapshot.h"

namespace longspan {
namespace {

/// Two parameters without a model around them.
struct Trainee {
  TrainingModel model;
  Moments moments;

  Trainee() {
    model.model.device = host_device(*all_kernels()[0]);
    model.gradients = std::make_shared<Gradients>();
    model.parameters.push_back({"rows", model.memory.matrix("fuzz", DType::F32, 3, 2), {}});
    model.parameters.push_back({"row", model.memory.matrix("fuzz", DType::F32, 1, 4), {}});
    moments = make_moments(model);
  }
};

std::string with_values(std::string_view header, const TrainingModel& model) {
  std::string file = "LSTRAIN1";
  uint64_t length = header.size();
  file.append(reinterpret_cast<const char*>(&length), sizeof length);
  file += header;
  int64_t values = 0;
  for (const Parameter& p : model.parameters) values += 3 * p.value.rows() * p.value.cols();
  file.append(static_cast<size_t>(values) * sizeof(float) + sizeof(uint64_t), '\0');
  return file;
}

}  // namespace
}  // namespace longspan

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  static Trainee trainee;
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string file = data[0] % 2 == 0 ? std::string(rest) : with_values(rest, trainee.model);
  if (file.size() >= sizeof(uint64_t)) {
    uint64_t digest = XXH64(file.data(), file.size() - sizeof digest, 0);
    std::memcpy(file.data() + file.size() - sizeof digest, &digest, sizeof digest);
  }
  try {
    RunState state = read_snapshot(fuzz_file(file, ".snapshot"), trainee.model, trainee.moments);
    for (int64_t count :
         {state.step, state.stage, state.stage_step, state.rows, state.short_rows, state.tokens})
      if (count < 0) std::abort();
    Jumps(state.history).jumped("loss", 1, 3);
  } catch (const Error&) {
  }
  return 0;
}
