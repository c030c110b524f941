// Whatever a result file holds: every format of its report is made, and the HTML one holds no
// element and no attribute that is not ours.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "decide/comparison.h"
#include "record/journal.h"
#include "report/comparison_document.h"
#include "report/page_assets.h"
#include "report/report.h"

namespace {

constexpr std::array<std::string_view, 28> kElements = {
    "!DOCTYPE", "html",    "head",   "meta",       "title",    "style",  "body",
    "h1",       "h2",      "h3",     "p",          "ul",       "li",     "div",
    "section",  "table",   "thead",  "tbody",      "tr",       "th",     "td",
    "details",  "summary", "figure", "figcaption", "noscript", "script", "pre"};

// The scripts of the page are constant; the data between them must not be able to end its script.
void check_script(std::string_view content, std::size_t& scripts) {
  const auto known = breakeven::report::page_scripts();
  if (std::find(known.begin(), known.end(), content) != known.end()) {
    ++scripts;
    return;
  }
  BREAKEVEN_CHECK(content.starts_with("{\"charts\":"));
  BREAKEVEN_CHECK(content.find_first_of("<>&") == std::string_view::npos);
  BREAKEVEN_CHECK(std::all_of(content.begin(), content.end(),
                              [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}

void check_html(std::string_view html) {
  std::size_t scripts = 0;
  for (std::size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    std::string_view rest = html.substr(at + 1);
    if (rest.starts_with('/')) rest.remove_prefix(1);
    const std::string_view name = rest.substr(0, rest.find_first_of(" >/"));
    BREAKEVEN_CHECK(std::find(kElements.begin(), kElements.end(), name) != kElements.end(),
                    "element {}", name);
    if (name != "script" || html[at + 1] == '/') continue;
    const std::size_t begin = html.find('>', at) + 1;
    const std::size_t end = html.find("</script>", begin);
    BREAKEVEN_CHECK(end != std::string_view::npos);
    check_script(html.substr(begin, end - begin), scripts);
    at = end - 1;
  }
  BREAKEVEN_CHECK(scripts == breakeven::report::page_scripts().size());
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
  const auto comparison = decide::compare(journal->records, journal->records, {});
  if (comparison) (void)report::make_document(*comparison).to_text(100, false);
  return 0;
}
