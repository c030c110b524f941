// Documents and tables as HTML, and what must be done to a text before it stands in a page.
#pragma once

#include <string>
#include <string_view>

#include "report/document.h"

namespace breakeven::report {

// `text` for the inside of an element or a quoted attribute: & < > " ' as entities, control
// characters as spaces.
std::string escape_html(std::string_view text);

// JSON for the inside of a <script>: no "</script>", no "<!--", no line separator of JavaScript can
// come out of it. `json` is ASCII (nlohmann's ensure_ascii), so all of these stand in strings.
std::string json_for_script(std::string_view json);

// <name class="classes">text</name>, escaped; without classes no attribute.
std::string element(std::string_view name, std::string_view classes, const std::string& text);

std::string to_html(const Table& table);
// The table with an id, for a script to find it.
std::string to_html(const Table& table, std::string_view id);
std::string to_html(const Document& document);

}  // namespace breakeven::report
