// THE table of instructions: what stands before a query and before a key, by task. Retrievers that were
// trained with instructions put texts elsewhere without them. LLM-Embedder's six pairs: Zhang 2023, arXiv
// 2310.07554, table 1 and the authors' code; BGE: Xiao 2023, arXiv 2309.07597.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace longspan {

struct Instructions {
  std::string task;   // name on the command line
  std::string query;  // stands before the text
  std::string key;
  std::string about;  // for people
};

std::span<const Instructions> instruction_rows();
/// Error listing the rows when there is none of that name.
const Instructions& instructions_for(std::string_view task);

}  // namespace longspan
