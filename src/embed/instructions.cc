#include "embed/instructions.h"

#include <vector>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"

namespace longspan {

std::span<const Instructions> instruction_rows() {
  static const std::vector<Instructions> rows = {
      {"none", "", "", "texts as they are (MiniLM)"},
      {"bge", "Represent this sentence for searching relevant passages: ", "", "BGE, English"},
      {"bge-zh", "为这个句子生成表示以用于检索相关文章：", "", "BGE, Chinese"},
      {"qa", "Represent this query for retrieving relevant documents: ",
       "Represent this document for retrieval: ", "LLM-Embedder: knowledge for a question"},
      {"convsearch", "Encode this query and context for searching relevant passages: ",
       "Encode this passage for retrieval: ", "LLM-Embedder: passages for a question in a conversation"},
      {"chat", "Embed this dialogue to find useful historical dialogues: ",
       "Embed this historical dialogue for retrieval: ", "LLM-Embedder: earlier turns (long memory)"},
      {"lrlm", "Embed this text chunk for finding useful historical chunks: ",
       "Embed this historical text chunk for retrieval: ", "LLM-Embedder: earlier parts of a long text"},
      {"icl", "Convert this example into vector to look for useful examples: ",
       "Convert this example into vector for retrieval: ", "LLM-Embedder: examples for a task"},
      {"tool", "Transform this user request for fetching helpful tool descriptions: ",
       "Transform this tool description for retrieval: ", "LLM-Embedder: tools for a request"},
      {"qwen3",
       "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:", "",
       "Qwen3-Embedding"},
  };
  return rows;
}

const Instructions& instructions_for(std::string_view task) {
  std::vector<std::string> names;
  for (const Instructions& row : instruction_rows()) {
    if (row.task == task) return row;
    names.push_back(row.task);
  }
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  fail("there are no instructions for the task {}; the tasks are {}{}", in_quotes(task), known,
       meant_name(std::string(task), names));
}

}  // namespace longspan
