// Strict XML as a sequence of events, through libxml2's reader: no tree, no network, no entities of the
// document's own, and libxml2's limits on nesting (256) and on the length of a text (10 MB).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace longspan::documents {

/// One element. Names are local: "p" of <w:p>.
class XmlElement {
 public:
  explicit XmlElement(void* reader) : reader_(reader) {}
  std::string name() const;
  /// The attribute with this local name; "" when there is none.
  std::string attribute(const char* name) const;
  int64_t number(const char* name, int64_t otherwise) const;

 private:
  void* reader_;
};

struct XmlHandlers {
  std::function<void(const XmlElement&)> begin;
  std::function<void(const std::string& name)> end;
  std::function<void(std::string_view)> text;
};

/// Error naming `source` and the line when the XML is damaged or beyond a limit.
void read_xml(std::string_view xml, const std::string& source, const XmlHandlers& handlers);

}  // namespace longspan::documents
