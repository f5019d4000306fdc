// Turns documents into ids on all threads: batches of bounded memory are read, tokenised in parallel, and
// handed on in the order of the files. Corpus text is plain text: "<|im_end|>" in it is not a special token.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/progress.h"
#include "data/documents.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

struct TokenisedDocuments {
  ReadingReport reading;
  bool complete = true;  // false: progress asked to stop
};

/// Calls body(document, ids) for each document in order, on the calling thread; ids include no begin or end
/// tokens. Progress counts tokens; the total is estimated from the share of the files' bytes read so far.
/// Errors as read_documents.
TokenisedDocuments tokenise_documents(const std::vector<std::filesystem::path>& files,
                                      const Tokenizer& tokenizer, const ReadingOptions& options,
                                      const std::function<void(Document&&, std::vector<int32_t>&&)>& body,
                                      const Progress& progress);

}  // namespace longspan
