#include "base/json.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace longspan {

namespace {

/// Builds the value from the parser's events. The library's own builder looks every key of an ordered object
/// up among the earlier ones, which takes 17 s for a vocabulary of 150,000; here an object is checked once,
/// when it is complete.
class Builder {
 public:
  explicit Builder(std::string_view source) : source_(source) {}
  Json root;

  bool null() { return add(nullptr); }
  bool boolean(bool b) { return add(b); }
  bool number_integer(int64_t n) { return add(n); }
  bool number_unsigned(uint64_t n) { return add(n); }
  bool number_float(double x, const std::string&) { return add(x); }
  bool string(std::string& s) { return add(std::move(s)); }
  bool binary(Json::binary_t&) { return false; }  // not in JSON text
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool key(std::string& k) {
    open_.back()->get_ref<Json::object_t&>().emplace_back(std::move(k), nullptr);
    return true;
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }
  bool end_object() {
    std::vector<std::string_view> keys;
    for (const auto& [key, value] : open_.back()->get_ref<Json::object_t&>()) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    if (auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end())
      fail("{}: the key {} stands twice in one object; remove one, readers disagree on which counts", source_,
           in_quotes(*twice));
    return end_array();
  }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& e) {
    fail("{}: is not valid JSON: {}", source_, excerpt(e.what(), 300));
  }

 private:
  Json& place(Json value) {
    if (open_.empty()) return root = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_array()) return parent.get_ref<Json::array_t&>().emplace_back(std::move(value));
    return parent.get_ref<Json::object_t&>().back().second = std::move(value);
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    constexpr size_t kDeepest = 500;
    if (open_.size() == kDeepest) fail("{}: is JSON nested more than {} levels deep", source_, kDeepest);
    open_.push_back(
        &place(std::move(value)));  // stays where it is: its parent does not grow while it is open
    return true;
  }

  std::string_view source_;
  std::vector<Json*> open_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  Builder builder(source);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return std::move(builder.root);
}

Json parse_json_file(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string excerpt_json(const Json& value, size_t most) { return excerpt(dump_json(value), most); }

}  // namespace longspan
