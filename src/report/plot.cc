#include "report/plot.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/resource.h"
#include "base/text.h"

namespace longspan {

namespace {

/// Runs gnuplot on a script file; returns its output and status.
int run_gnuplot(const std::filesystem::path& script, std::string& printed) {
  std::string quoted;
  for (char c : script.string()) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  FILE* pipe = popen(("gnuplot '" + quoted + "' 2>&1").c_str(), "r");
  if (!pipe) return -1;
  std::array<char, 4096> buffer;
  for (size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    printed.append(buffer.data(), n);
  int status = pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void draw_as(const std::filesystem::path& stem, const char* extension, const std::string& terminal,
             const std::string& commands) {
  std::filesystem::path script = stem, picture = stem;
  script += ".gnuplot";
  picture += extension;
  std::ofstream(script) << "set encoding utf8\nset terminal " << terminal << "\nset output "
                        << gnuplot_string(picture.string()) << "\n"
                        << commands << "\n";
  std::string printed;
  int status = run_gnuplot(script, printed);
  std::error_code ignored;
  if (status == 127)
    fail("gnuplot is needed to draw {}: install it (Debian: apt-get install gnuplot-nox)", picture.string());
  if (status != 0 || !std::filesystem::exists(picture))
    fail("gnuplot failed on {}: {}", script.string(), excerpt(printed, 400));
  std::filesystem::remove(script, ignored);
}

}  // namespace

std::string gnuplot_string(const std::string& text) {
  // Quotes can be doubled, but gnuplot fails on one at either end and on two in a row: they are joined as
  // strings in the other kind of quotes instead.
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'.\"'\".'") : std::string(1, c);
  return out + "'";
}

void draw(const std::filesystem::path& stem, const std::string& commands, int width, int height) {
  draw_as(stem, ".svg",
          fmt::format("svg size {},{} dynamic background rgb 'white' font 'sans-serif,13'", width, height),
          commands);
  draw_as(stem, ".png", fmt::format("pngcairo size {},{} font 'sans-serif,11'", width, height), commands);
}

std::string html_page(const std::string& title, const std::string& body) {
  return fmt::format(
      R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{0}</title>
<style>
{1}</style></head><body>
<h1>{0}</h1>
{2}
</body></html>
)",
      escape_html(title), resource("pages/page.css"), body);
}

std::string inline_svg(const std::filesystem::path& svg) {
  std::string text = read_file(svg);
  size_t start = text.find("<svg");
  if (start == std::string::npos) fail("{} is no SVG file", svg.string());
  return text.substr(start);
}

std::string escape_html(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

}  // namespace longspan
