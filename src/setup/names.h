// Enums that have names: each value's text stands once, in its enum's Names, for flags, records and
// workers alike.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace breakeven {

// A specialisation has kWhat ("precision") and kAll: pairs of a value and its name. A value whose
// name is "" means "none of them".
template <class T>
struct Names;
template <class T>
concept Named = requires {
  Names<T>::kAll;
};

template <Named T>
std::string to_string(T value) {
  for (const auto& [known, name] : Names<T>::kAll) {
    if (known == value) return std::string(name);
  }
  return "unknown";
}

// In the order of kAll, without "".
template <Named T>
std::vector<T> all_of() {
  std::vector<T> values;
  for (const auto& [known, name] : Names<T>::kAll) {
    if (!name.empty()) values.push_back(known);
  }
  return values;
}

// "fp32, bf16, int8"
template <Named T>
std::string list_names(const std::vector<T>& values = all_of<T>()) {
  std::string list;
  for (const T value : values) list += (list.empty() ? "" : ", ") + to_string(value);
  return list;
}

// Errors: precision/unknown, or whatever kWhat is.
template <Named T>
Result<T> parse(std::string_view text) {
  for (const auto& [known, name] : Names<T>::kAll) {
    if (name == text) return known;
  }
  const std::string what = Names<T>::kWhat;
  return fail(what + "/unknown", "'" + std::string(text) + "' is not a " + what,
              "choose from " + list_names<T>());
}

}  // namespace breakeven
