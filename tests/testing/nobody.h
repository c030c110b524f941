// Rights that are missing, for a test that runs as root, too, whom no right stops.
#pragma once

#include <unistd.h>

namespace breakeven::testing {

// While it lives, this process has the rights of the user "nobody" (65534) if it had root's.
class AsNobody {
 public:
  AsNobody() {
    constexpr unsigned kNobody = 65534;
    if (::geteuid() != 0) return;
    changed_ = ::setegid(kNobody) == 0 && ::seteuid(kNobody) == 0;
    enough_ = changed_;
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;
  ~AsNobody() {
    if (!changed_) return;
    (void)!::seteuid(0);
    (void)!::setegid(0);
  }
  // False where root cannot become another user: skip, and say so.
  bool enough() const { return enough_; }

 private:
  bool changed_ = false, enough_ = true;
};

}  // namespace breakeven::testing

// First in a test, as a statement: from here on to the end of the block a folder of mode 0 is
// closed.
#define BREAKEVEN_AS_NOBODY()                     \
  const ::breakeven::testing::AsNobody as_nobody; \
  if (!as_nobody.enough()) GTEST_SKIP() << "SKIPPED: root cannot become another user here"
