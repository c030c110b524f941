#include "cli/given_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>

namespace breakeven::cli {

std::vector<std::string> given_options(const CLI::App& command,
                                       std::initializer_list<std::string_view> without) {
  std::vector<std::string> words;
  std::set<const CLI::Option*> seen;  // one that is given twice stands here twice
  for (const CLI::Option* option : command.parse_order()) {
    if (!seen.insert(option).second) continue;
    const std::string name = option->get_name();
    if (std::find(without.begin(), without.end(), name) != without.end()) continue;
    const bool is_flag = option->get_items_expected_max() == 0;
    for (const std::string& value : option->results()) {
      if (value.starts_with('-')) {
        words.push_back(fmt::format("{}={}", name, value));
        continue;
      }
      words.push_back(name);
      if (!is_flag) words.push_back(value);
    }
  }
  return words;
}

std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
      "_-+./:,=@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char letter : word)
    text += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return text + "'";
}

}  // namespace breakeven::cli
