#include "report/plot.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "report/page_parts.h"
#include "report/style.h"

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
                        << chart_style() << commands << "\n";
  std::string printed;
  int status = run_gnuplot(script, printed);
  std::error_code ignored;
  if (status == 127) {
    std::filesystem::remove(script, ignored);
    fail("{}", gnuplot_missing());
  }
  if (status != 0 || !std::filesystem::exists(picture))
    fail("gnuplot failed on {}: {}", script.string(), excerpt(printed, 400));
  std::filesystem::remove(script, ignored);
}

/// Every "rgb(  0, 104, 168)" as "#0068a8", and gnuplot's own black as the ink of texts.
std::string with_inks(const std::string& svg) {
  std::string out;
  for (size_t at = 0; at < svg.size();) {
    int red, green, blue, length = 0;
    std::string_view rest = std::string_view(svg).substr(at);
    const char before = at > 0 ? svg[at - 1] : ' ';  // texts of the chart may hold such words as well
    if (rest.starts_with("rgb(") && (before == '\'' || before == '"') &&
        std::sscanf(svg.c_str() + at, "rgb( %d , %d , %d )%n", &red, &green, &blue, &length) == 3 &&
        length > 0) {
      out += fmt::format("#{:02x}{:02x}{:02x}", red, green, blue);
      at += static_cast<size_t>(length);
    } else if (before == '=' && (rest.starts_with("\"black\"") || rest.starts_with("'black'"))) {
      out += svg[at] + ink("text") + svg[at];
      at += 7;
    } else {
      out += svg[at++];
    }
  }
  return out;
}

/// Deletes every part of the text from `begin` up to and including `end`.
void cut_between(std::string& text, const std::string& begin, const std::string& end) {
  for (size_t at = 0; (at = text.find(begin, at)) != text.npos;) {
    size_t to = text.find(end, at + begin.size());
    if (to == text.npos) return;
    text.erase(at, to + end.size() - at);
  }
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

/// What gnuplot wrote, in the style of the house: inks, a title instead of "Gnuplot", and ids that differ
/// from those of other charts on the same page.
std::string dressed(std::string svg, const std::string& title, const std::string& name) {
  cut_between(svg, "<title>", "</title>");
  cut_between(svg, "<desc>", "</desc>");
  cut_between(svg, " id=\"gnuplot_", "\"");
  for (const char* id : {"gp", "textbox", "greybox"})
    for (const char* before : {"id='", "href='#", "url(#"})
      replace_all(svg, std::string(before) + id, before + name + "-" + id);
  size_t end = svg.find('>', svg.find("<svg"));
  if (end == svg.npos) fail("gnuplot wrote no SVG for {}", name);
  std::string text = escape_html(title);
  svg.replace(end, 1,
              fmt::format(" role=\"img\" aria-label=\"{0}\">\n<title>{0}</title>\n<style>\n{1}</style>", text,
                          chart_style_sheet()));
  return with_inks(svg);
}

}  // namespace

std::string gnuplot_missing() {
  const char* path = std::getenv("PATH");
  std::string folders = path ? path : "";
  for (size_t begin = 0; begin <= folders.size();) {
    size_t end = std::min(folders.find(':', begin), folders.size());
    if (::access((folders.substr(begin, end - begin) + "/gnuplot").c_str(), X_OK) == 0) return "";
    begin = end + 1;
  }
  return "gnuplot, which draws the charts, is not installed (Debian: apt-get install gnuplot-nox)";
}

std::string gnuplot_string(const std::string& text) {
  // Quotes can be doubled, but gnuplot fails on one at either end and on two in a row: they are joined as
  // strings in the other kind of quotes instead.
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'.\"'\".'") : std::string(1, c);
  return out + "'";
}

void draw(const std::filesystem::path& stem, const Picture& picture) {
  std::filesystem::path svg = stem;
  svg += ".svg";
  draw_as(stem, ".svg",
          fmt::format("svg size {},{} dynamic background rgb 'white' font 'sans-serif,14'", picture.width,
                      picture.height),
          picture.commands);
  std::string name;
  for (char c : stem.filename().string()) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  write_file_atomic(svg, dressed(read_file(svg), picture.title, name));
  draw_as(stem, ".png",
          fmt::format("pngcairo size {},{} font 'sans-serif,11'", picture.width, picture.height),
          picture.commands);
}

std::string inline_svg(const std::filesystem::path& svg) {
  std::string text = read_file(svg);
  size_t start = text.find("<svg");
  if (start == std::string::npos) fail("{} is not an SVG file", svg.string());
  text.erase(0, start);
  cut_between(text, "<style>", "</style>");
  return text;
}

}  // namespace longspan
