// What the report's page is made of besides its data: a style sheet and scripts, Chart.js
// (Debian's libjs-chart.js, found when breakeven was configured) among them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace breakeven::report {

std::string_view page_style();
// In the order in which they run: Chart.js, with its licence at the top, then src/report/page/*.js.
std::span<const std::string_view> page_scripts();

// "'sha256-…'": how a content security policy names an inline script or style sheet.
std::string policy_hash(std::string_view content);

}  // namespace breakeven::report
