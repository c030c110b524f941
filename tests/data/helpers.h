// What the tests of the sources share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/source.h"
#include "testing/paths.h"

namespace breakeven::data {

inline std::string put_file(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  EXPECT_TRUE(file.good()) << path;
  return path.string();
}

// All reviews of a source, or its first error.
inline Result<std::vector<Review>> all_of(const SourceOptions& options) {
  BREAKEVEN_TRY(const auto source, open_source(options));
  std::vector<Review> reviews;
  for (;;) {
    BREAKEVEN_TRY(auto review, source->next());
    if (!review) return reviews;
    reviews.push_back(*std::move(review));
  }
}

inline std::vector<std::string> texts_of(const std::vector<Review>& reviews) {
  std::vector<std::string> texts;
  for (const Review& review : reviews) texts.push_back(review.text);
  return texts;
}

inline std::vector<std::optional<std::string>> seconds_of(const std::vector<Review>& reviews) {
  std::vector<std::optional<std::string>> seconds;
  for (const Review& review : reviews) seconds.push_back(review.second);
  return seconds;
}

// The error of a source that must have one: its code, with the message checked for `words`.
#define EXPECT_REFUSED(result, expected_code, ...)                                            \
  do {                                                                                        \
    auto refused_ = (result);                                                                 \
    ASSERT_FALSE(refused_.has_value());                                                       \
    EXPECT_EQ(refused_.error().code, expected_code) << refused_.error().to_string();          \
    for (const std::string_view word : std::initializer_list<std::string_view> __VA_ARGS__) { \
      EXPECT_NE(refused_.error().to_string().find(word), std::string::npos)                   \
          << "'" << word << "' is not in: " << refused_.error().to_string();                  \
    }                                                                                         \
  } while (false)

}  // namespace breakeven::data
