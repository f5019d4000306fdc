#include "documents/xml.h"

#include <libxml/xmlreader.h>

#include <charconv>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "documents/limits.h"

namespace longspan::documents {

namespace {

xmlTextReaderPtr of(void* reader) { return static_cast<xmlTextReaderPtr>(reader); }

std::string string_of(const xmlChar* text) { return text ? reinterpret_cast<const char*>(text) : ""; }

void no_message(void*, const char*, xmlParserSeverities, xmlTextReaderLocatorPtr) {}

}  // namespace

std::string XmlElement::name() const { return string_of(xmlTextReaderConstLocalName(of(reader_))); }

std::string XmlElement::attribute(const char* name) const {
  std::string value;
  for (int more = xmlTextReaderMoveToFirstAttribute(of(reader_)); more == 1;
       more = xmlTextReaderMoveToNextAttribute(of(reader_)))
    if (string_of(xmlTextReaderConstLocalName(of(reader_))) == name) {
      value = string_of(xmlTextReaderConstValue(of(reader_)));
      break;
    }
  xmlTextReaderMoveToElement(of(reader_));
  return value;
}

int64_t XmlElement::number(const char* name, int64_t otherwise) const {
  std::string text = attribute(name);
  int32_t value = 0;
  auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return read.ec == std::errc() ? value : otherwise;
}

void read_xml(std::string_view xml, const std::string& source, const XmlHandlers& handlers) {
  if (xml.size() > kMostPartBytes)
    fail("{}: has more than {} of XML", source, human_bytes(static_cast<double>(kMostPartBytes)));
  std::unique_ptr<xmlTextReader, void (*)(xmlTextReaderPtr)> reader(
      xmlReaderForMemory(xml.data(), static_cast<int>(xml.size()), nullptr, nullptr,
                         XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA),
      xmlFreeTextReader);
  if (!reader) fail("{}: the XML parser could not be set up: is there enough memory?", source);
  xmlTextReaderSetErrorHandler(reader.get(), no_message, nullptr);
  int more;
  while ((more = xmlTextReaderRead(reader.get())) == 1) {
    XmlElement element(reader.get());
    switch (xmlTextReaderNodeType(reader.get())) {
      case XML_READER_TYPE_ELEMENT: {
        bool empty = xmlTextReaderIsEmptyElement(reader.get()) == 1;
        std::string name = element.name();
        handlers.begin(element);
        if (empty) handlers.end(name);
        break;
      }
      case XML_READER_TYPE_END_ELEMENT:
        handlers.end(element.name());
        break;
      case XML_READER_TYPE_TEXT:
      case XML_READER_TYPE_CDATA:
      case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
        if (const xmlChar* text = xmlTextReaderConstValue(reader.get()))
          handlers.text(reinterpret_cast<const char*>(text));
        break;
      default:
        break;
    }
  }
  if (more < 0) {
    const xmlError* error = xmlGetLastError();
    std::string why = error && error->message ? error->message : "it cannot be read";
    while (!why.empty() && why.back() == '\n') why.pop_back();
    fail("{}: is damaged XML at line {}: {}", source, xmlTextReaderGetParserLineNumber(reader.get()),
         excerpt(why));
  }
}

}  // namespace longspan::documents
