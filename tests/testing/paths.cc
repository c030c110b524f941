#include "testing/paths.h"

#include <cstdlib>

#include "base/check.h"

namespace breakeven::testing {

std::filesystem::path source_dir() {
  return BREAKEVEN_SOURCE_DIR;
}

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "breakeven-test-XXXXXX").string();
  BREAKEVEN_CHECK(::mkdtemp(name.data()) != nullptr, "{}", name);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::optional<std::filesystem::path> shared_file(const std::string& name) {
  const char* given = std::getenv("BREAKEVEN_SHARED");
  const std::filesystem::path root =
      given != nullptr ? std::filesystem::path(given) : source_dir() / ".." / "shared";
  std::filesystem::path path = root / name;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

}  // namespace breakeven::testing
