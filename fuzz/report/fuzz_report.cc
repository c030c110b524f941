// Whatever a result file holds: every format of its report is made, and the HTML one holds no
// element and no attribute that is not ours.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "record/journal.h"
#include "report/compare.h"
#include "report/report.h"

namespace {

constexpr std::array<std::string_view, 37> kElements = {
    "!DOCTYPE", "html", "head", "meta",    "title", "style",   "body",   "h1",
    "h2",       "p",    "ul",   "li",      "div",   "table",   "thead",  "tbody",
    "tr",       "th",   "td",   "details", "pre",   "summary", "figure", "figcaption",
    "svg",      "g",    "text", "line",    "path",  "rect",    "circle", "polygon",
    "br",       "span", "code", "a",       "b"};

void check_html(std::string_view html) {
  for (std::size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    std::string_view rest = html.substr(at + 1);
    if (rest.starts_with('/')) rest.remove_prefix(1);
    const std::string_view name = rest.substr(0, rest.find_first_of(" >/"));
    BREAKEVEN_CHECK(std::find(kElements.begin(), kElements.end(), name) != kElements.end(),
                    "element {}", name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace breakeven;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto journal = record::parse_journal(text, "input");
  if (!journal || journal->records.empty()) return 0;
  for (const report::Format format :
       {report::Format::table, report::Format::md, report::Format::csv, report::Format::html}) {
    report::RenderOptions options;
    options.format = format;
    const auto shown = report::render(journal->records, options);
    BREAKEVEN_CHECK(shown.has_value());
    if (format == report::Format::html) check_html(*shown);
  }
  const auto comparison = report::compare(journal->records, journal->records, {});
  if (comparison) (void)report::make_document(*comparison).to_text(100, false);
  return 0;
}
