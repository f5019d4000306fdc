// The HTTP server's own life, without a model.
#include "server/http.h"

#include <gtest/gtest.h>

#include <thread>

namespace longspan::server {
namespace {

TEST(HttpServer, EndedAtWhateverMomentOfItsBeginningItEnds) {
  for (int i = 0; i < 300; ++i) {
    HttpServer server({.connections = 2});
    ASSERT_GT(server.bind_to_any_port("127.0.0.1"), 0);
    std::thread serving([&] { server.serve(); });
    if (i % 3 != 0) std::this_thread::sleep_for(std::chrono::microseconds(i));
    server.end();
    serving.join();
    EXPECT_FALSE(server.is_running());
  }
}

}  // namespace
}  // namespace longspan::server
