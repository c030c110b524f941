// Where tests find things: the source tree, a temporary folder, and the optional data that does not
// ship with the project (IMDB, really trained checkpoints).
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace breakeven::testing {

std::filesystem::path source_dir();

// A fresh temporary folder that is removed with everything in it.
class TempDir {
 public:
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// $BREAKEVEN_SHARED or ../shared beside the source tree, with `name` below it; nothing when it is
// not there. A test that needs it and gets nothing must GTEST_SKIP() and say which file it looked
// for.
std::optional<std::filesystem::path> shared_file(const std::string& name);

}  // namespace breakeven::testing
