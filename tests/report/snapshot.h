// Whole outputs compared with files beside the tests. SNAP_UPDATE=1 rewrites the files.
#pragma once

#include <string>

namespace breakeven::testing {

// Fails the test with both texts when `actual` is not what tests/report/snapshots/NAME holds.
void expect_snapshot(const std::string& name, const std::string& actual);

}  // namespace breakeven::testing
