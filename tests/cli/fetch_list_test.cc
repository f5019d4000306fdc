// fetch from the user's own list, through a server of the test's own.
#include "cli/fetch_list.h"

#include <fmt/format.h>
#include <httplib.h>
#include <zip.h>

#include "cli/digest.h"
#include "cli/program.h"

namespace longspan::cli {

namespace {

/// Serves its files; after `cut` bytes it hangs up, as often as it is told to.
struct Server {
  httplib::Server server;
  std::thread thread;
  int port = 0;
  std::string body;
  std::vector<std::string> ranges;  // of the requests
  int broken = 0;                   // answers that end in the middle

  explicit Server(std::string content) : body(std::move(content)) {
    server.Get("/model.gguf", [this](const httplib::Request& request, httplib::Response& response) {
      ranges.push_back(request.get_header_value("Range"));
      size_t half = body.size() / 2;
      bool breaks = broken > 0;
      if (breaks) --broken;
      response.set_content_provider(
          body.size(), "application/octet-stream",
          [this, breaks, half](size_t offset, size_t length, httplib::DataSink& sink) {
            if (breaks && offset >= half) return false;
            size_t n = std::min(length, breaks ? half - offset : length);
            return sink.write(body.data() + offset, n);
          });
    });
    server.Get("/moved.gguf", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("/model.gguf");
    });
    port = server.bind_to_any_port("127.0.0.1");
    thread = std::thread([this] { server.listen_after_bind(); });
  }
  ~Server() {
    server.stop();
    thread.join();
  }
  std::string url(const std::string& name) const { return fmt::format("http://127.0.0.1:{}/{}", port, name); }
};

class FetchList : public ProgramTest {
 protected:
  std::string golden() { return read_file(fs::path(LONGSPAN_GOLDEN) / "model" / "gqa-q8_0.gguf"); }
  std::string digest(const std::string& bytes) { return sha256_of(write("bytes", bytes)); }
  std::string list(const std::string& urls, const std::string& sha256, const std::string& more = "") {
    return write("sources.toml", fmt::format("[tiny]\nurl = {}\nsha256 = \"{}\"\n{}", urls, sha256, more));
  }
  Outcome fetch(const std::string& list) { return run({"fetch", "tiny", "--sources", list, "--json"}); }
  fs::path kept() const { return dir_ / "cache" / "tiny" / "model.gguf"; }
};

TEST_F(FetchList, AFileIsFetchedCheckedAndFoundByItsName) {
  Server server(golden());
  Outcome r =
      fetch(list('"' + server.url("moved.gguf") + '"', digest(server.body), "save_as = \"model.gguf\"\n"));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.json()["path"], kept().string());
  EXPECT_EQ(read_file(kept()), server.body);
  EXPECT_FALSE(fs::exists(kept().parent_path() / ".partial"));
  EXPECT_EQ(run({"frequencies", "tiny", "--json"}).status, 0);
  size_t asked = server.ranges.size();
  EXPECT_EQ(fetch((dir_ / "sources.toml").string()).status, 0);
  EXPECT_EQ(server.ranges.size(), asked);  // nothing is fetched twice
}

TEST_F(FetchList, AnInterruptedDownloadGoesOn) {
  Server server(golden());
  server.broken = 1;
  std::string sources = list('"' + server.url("model.gguf") + '"', digest(server.body));
  Outcome broken = fetch(sources);
  EXPECT_EQ(broken.status, 1);
  EXPECT_NE(broken.err.find("run the command again to go on"), std::string::npos) << broken.err;
  EXPECT_FALSE(fs::exists(kept()));
  Outcome r = fetch(sources);
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(read_file(kept()), server.body);
  ASSERT_EQ(server.ranges.size(), 2u);
  EXPECT_EQ(server.ranges[0], "");
  EXPECT_EQ(server.ranges[1], fmt::format("bytes={}-", server.body.size() / 2));
}

TEST_F(FetchList, AMirrorStandsIn) {
  Server server(golden());
  std::string urls = fmt::format("[\"{}\", \"{}\"]", server.url("missing.gguf"), server.url("model.gguf"));
  Outcome r = fetch(list(urls, digest(server.body), "save_as = \"model.gguf\"\n"));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(read_file(kept()), server.body);
}

TEST_F(FetchList, AnotherFileIsNotKept) {
  Server server(golden());
  Outcome r = fetch(list('"' + server.url("model.gguf") + '"', digest("something else")));
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("SHA-256"), std::string::npos) << r.err;
  EXPECT_FALSE(fs::exists(kept()));
  Outcome missing = fetch(list('"' + server.url("missing.gguf") + '"', digest("x")));
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.err.find("404"), std::string::npos) << missing.err;
}

TEST_F(FetchList, AFileOfAnArchiveIsUnpacked) {
  std::string bytes = golden(), archive = (dir_ / "archive.zip").string();
  zip_t* zip = zip_open(archive.c_str(), ZIP_CREATE, nullptr);
  ASSERT_NE(zip, nullptr);
  zip_file_add(zip, "inside/model.gguf", zip_source_buffer(zip, bytes.data(), bytes.size(), 0), 0);
  zip_close(zip);
  Server server(read_file(archive));
  std::string sources =
      list('"' + server.url("model.gguf") + '"', digest(bytes), "unpack = \"inside/model.gguf\"\n");
  Outcome r = fetch(sources);
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(read_file(kept()), bytes);
}

TEST_F(FetchList, AModelOfSeveralFilesIsADirectory) {
  Server server(golden());
  std::string file = fmt::format("[[tiny.files]]\nurl = \"{}\"\nsha256 = \"{}\"\n", server.url("model.gguf"),
                                 digest(server.body));
  Outcome r = fetch(write("two.toml", file + file + "save_as = \"second.gguf\"\n"));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.json()["path"], (dir_ / "cache" / "tiny").string());
  EXPECT_EQ(read_file(dir_ / "cache" / "tiny" / "second.gguf"), server.body);
}

TEST_F(FetchList, FaultsOfTheListAreNamed) {
  std::string sum(64, 'a');
  for (auto [text, part] :
       {std::pair{std::string("[tiny]\nurl = \"https://x/y\"\n"), "sha256"},
        {"[tiny]\nurl = \"https://x/y\"\nsha256 = \"abc\"\n", "64 digits"},
        {"[tiny]\nsha256 = \"" + sum + "\"\n", "url or pypi"},
        {"[tiny]\nurl = \"https://x/y\"\nsha256 = \"" + sum + "\"\nsave_as = \"../y\"\n", "without folders"},
        {"[tiny]\nurl = \"https://x/y\"\nsha256 = \"" + sum + "\"\nurll = \"z\"\n", "urll"},
        {"[\"../tiny\"]\nurl = \"https://x/y\"\n", "name of a model"},
        {"[tiny\n", "bad.toml:"}}) {
    Outcome r = fetch(write("bad.toml", text));
    EXPECT_EQ(r.status, 1) << text;
    EXPECT_TRUE(r.one_sentence()) << r.err;
    EXPECT_NE(r.err.find(part), std::string::npos) << r.err;
  }
}

TEST_F(FetchList, TheListOfTheConfigFolderIsRead) {
  Server server(golden());
  fs::create_directories(dir_ / "config" / "longspan");
  fs::copy_file(list('"' + server.url("model.gguf") + '"', digest(server.body)),
                dir_ / "config" / "longspan" / "sources.toml");
  std::string environment = "XDG_CONFIG_HOME=" + quoted((dir_ / "config").string());
  EXPECT_EQ(run({"fetch", "tiny"}, "", environment).status, 0);
  Outcome r = run({"fetch", "other"}, "", environment);
  EXPECT_NE(r.err.find("smollm2, minilm, smollm2-256k, tiny"), std::string::npos) << r.err;
}

}  // namespace

}  // namespace longspan::cli
