// The figures of the server as Prometheus reads them.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "generate/scheduler.h"
#include "server/embeddings.h"

namespace longspan::server {

/// Requests by path and status. Thread-safe.
class RequestCounts {
 public:
  void add(const std::string& path, int status);
  std::map<std::pair<std::string, int>, int64_t> counts() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> counts_;
};

/// Prometheus' text format, version 0.0.4.
std::string metrics_text(const SchedulerFigures& figures, const RequestCounts& requests, int64_t connections,
                         int64_t turned_away);
std::string metrics_text(const EmbeddingFigures& figures);

}  // namespace longspan::server
