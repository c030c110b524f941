#include "report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "report/charts.h"
#include "report/environment.h"
#include "report/html_text.h"
#include "report/page_assets.h"
#include "report/report.h"

namespace breakeven::report {
namespace {

// The place of a chart, and its numbers, which need no script.
std::string figure(std::size_t index, const Chart& chart, const Drawable& drawn) {
  std::string out = "<figure class=\"chart\"";
  if (!drawn.empty()) out += fmt::format(" id=\"chart-{}\"", index);
  out += fmt::format("><figcaption>{}</figcaption>\n", escape_html(title_of(chart)));
  if (!drawn.empty()) out += "<div class=\"canvas\"></div>\n";
  if (!drawn.said.empty()) out += element("p", "", drawn.said) + "\n";
  if (drawn.left_out > 0) {
    out += fmt::format("<p class=\"dim\">{} more are not drawn: see the numbers.</p>\n",
                       drawn.left_out);
  }
  return out + "<details><summary>Numbers</summary>" + to_html(numbers_of(chart)) +
         "</details></figure>\n";
}

std::string decision_html(const Decision& decision) {
  std::string out = "<section id=\"decision\">\n<h2>Which machine to rent</h2>\n";
  const bool answers = decision.ranking && !decision.json.empty();
  if (answers) {
    out +=
        "<figure id=\"cost\" class=\"chart\"><figcaption>Cost a month over load</figcaption>\n"
        "<div class=\"canvas\"></div></figure>\n"
        "<p id=\"breakeven\"></p>\n<div id=\"controls\"></div>\n";
  }
  out +=
      fmt::format("<p id=\"headline\" class=\"strong\">{}</p>\n", escape_html(decision.headline));
  if (!decision.ranking) return out + "</section>\n";
  out += fmt::format("<p id=\"asked\" class=\"dim\">{}</p>\n", escape_html(decision.asked));
  out += "<div id=\"verdicts\">" + to_html(decision.verdicts) + "</div>\n";
  out += "<h3>Ranking, cheapest first</h3>\n" + to_html(*decision.ranking, "ranking");
  return out + "<div id=\"missing\">" + to_html(decision.missing) + "</div>\n</section>\n";
}

struct Figures {
  std::string html, json;  // json: "[{...},{...}]"
};

Figures figures_of(std::span<const record::Record> records) {
  Figures figures;
  std::size_t index = 0;
  for (const Chart& chart : charts({records.begin(), records.end()})) {
    const auto drawn = drawable(chart);
    if (!drawn) continue;
    figures.html += figure(index, chart, *drawn);
    if (drawn->empty()) continue;
    ++index;
    figures.json += (figures.json.empty() ? "" : ",\n") + to_json(*drawn);
  }
  figures.json = "[" + figures.json + "]";
  return figures;
}

std::string head() {
  std::string hashes;
  for (const std::string_view script : page_scripts()) hashes += " " + policy_hash(script);
  const std::string policy = fmt::format(
      "default-src 'none'; script-src{}; style-src {}; base-uri 'none'; form-action 'none'", hashes,
      policy_hash(page_style()));
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\" />\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\" />\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
      "<meta name=\"color-scheme\" content=\"light dark\" />\n"
      "<title>breakeven report</title>\n<style>{}</style></head><body>\n",
      policy, page_style());
}

std::string scripts(const Figures& figures, const Decision& decision) {
  std::string out = "<script type=\"application/json\" id=\"data\">{\"charts\":";
  out += json_for_script(figures.json);
  out += ",\n\"decision\":";
  out += decision.json.empty() ? "null" : json_for_script(decision.json);
  out += "}</script>\n";
  for (const std::string_view script : page_scripts()) {
    out += "<script>";
    out += script;
    out += "</script>\n";
  }
  return out;
}

std::string closing_tables(std::span<const record::Record> records) {
  std::string out;
  if (const Table noise = noise_table(records); noise.rows() > 0) {
    out += "<h2>Noise</h2>\n" + to_html(noise);
  }
  out += "<h2>Environment</h2>\n" + to_html(environment_table(records));
  out += "<h2>Numbers</h2>\n<details><summary>Every row as CSV, to copy</summary><pre id=\"csv\">";
  for (const char c : to_csv(records)) {
    out += c == '\n' ? std::string("\n") : escape_html(std::string_view(&c, 1));
  }
  return out + "</pre></details>\n";
}

}  // namespace

std::string to_html(std::span<const record::Record> records, const Start& start,
                    const FirstScreen& first) {
  const Parts parts = make_parts(records);
  std::string out = head() + "<h1>breakeven: CPU or GPU?</h1>\n";
  out +=
      "<noscript><p class=\"careful\">Script is switched off: no charts and no sliders. Every "
      "number is in the tables.</p></noscript>\n";
  const Figures figures = figures_of(records);
  const bool any_cell = std::any_of(records.begin(), records.end(), [](const auto& record) {
    return record.kind == record::Kind::cell;
  });
  Decision decision;
  if (any_cell || records.empty()) {
    out += "<section id=\"first\">\n" + to_html(first_screen(records, first)) + "</section>\n";
  }
  if (any_cell) {
    std::vector<record::Record> all(records.begin(), records.end());
    all.insert(all.end(), first.known.begin(), first.known.end());
    decision = decide_for_page(all, start);
    out += decision_html(decision);
  }
  if (!figures.html.empty()) {
    out +=
        "<h2>Charts</h2>\n<p class=\"dim\">Rows that are INVALID or break parity are in the "
        "tables only. Whiskers at a point are its 95 % interval.</p>\n<div class=\"charts\">\n" +
        figures.html + "</div>\n";
  }
  out += to_html(parts.header) + to_html(parts.verdict) + to_html(parts.tables) +
         to_html(parts.scaling) + to_html(parts.notes);
  if (!records.empty()) out += closing_tables(records);
  return out + scripts(figures, decision) + "</body></html>\n";
}

}  // namespace breakeven::report
