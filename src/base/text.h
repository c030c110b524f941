// What a classifier labels: a text, or a pair of texts that belong together (premise and
// hypothesis, query and passage).
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace breakeven {

// Views; whoever makes one keeps the bytes alive.
struct Text {
  std::string_view first;
  // Nothing: `first` alone. An empty second text is one, as in Hugging Face's batches of pairs.
  std::optional<std::string_view> second{};

  Text() = default;
  // Implicit: a string is a text.
  Text(std::string_view alone) : first(alone) {}
  Text(const std::string& alone) : first(alone) {}
  Text(const char* alone) : first(alone) {}
  Text(std::string_view one, std::optional<std::string_view> other) : first(one), second(other) {}

  std::size_t bytes() const { return first.size() + (second ? second->size() : 0); }
};

inline bool any_pair(std::span<const Text> texts) {
  return std::any_of(texts.begin(), texts.end(), [](const Text& text) { return text.second; });
}

}  // namespace breakeven
