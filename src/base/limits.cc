#include "base/limits.h"

#include "base/check.h"

namespace breakeven {
namespace {

struct Row {
  std::string_view key;
  double value;
};

constexpr Row kRows[] = {
#include "limits.inc"
};

}  // namespace

double limit(std::string_view key) {
  for (const Row& row : kRows) {
    if (row.key == key) return row.value;
  }
  BREAKEVEN_CHECK(false, "docs/parity.md has no row {}", key);
  return 0;
}

}  // namespace breakeven
