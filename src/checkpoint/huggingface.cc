#include "base/error.h"
#include "checkpoint/layout.h"

namespace longspan {

Checkpoint open_huggingface(const std::filesystem::path& directory) {
  fail("{}: Hugging Face directories are not read yet", directory.string());
}

}  // namespace longspan
