// What a classifier labels: a text, or a pair of texts that belong together (premise and
// hypothesis, query and passage).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// What a tokenizer made of a text.
struct TokenIds {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> types{};  // of a pair where the model takes them; else none
  std::size_t whole = 0;              // tokens before it was cut, where they were counted
  bool cut = false;
};

// Views; whoever makes one keeps the bytes alive.
struct Text {
  std::string_view first;
  // Nothing: `first` alone. An empty second text is one, as in Hugging Face's batches of pairs.
  std::optional<std::string_view> second{};
  // Made before, as the classifier would make it: then it does not tokenise this text.
  const TokenIds* ready = nullptr;

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
