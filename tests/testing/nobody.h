// Rights that are missing, for a test that runs as root, too, whom no right stops.
#pragma once

#include <grp.h>
#include <unistd.h>

#include <vector>

namespace breakeven::testing {

// While it lives, this process has the rights of the user "nobody" (65534) if it had root's.
class AsNobody {
 public:
  AsNobody() {
    constexpr unsigned kNobody = 65534;
    if (::geteuid() != 0) return;
    // Groups that root is in as well would open what belongs to them, and close what others may.
    groups_.resize(static_cast<std::size_t>(::getgroups(0, nullptr)));
    enough_ = ::getgroups(static_cast<int>(groups_.size()), groups_.data()) >= 0;
    changed_ = enough_ && ::setgroups(0, nullptr) == 0 && ::setegid(kNobody) == 0 &&
               ::seteuid(kNobody) == 0;
    enough_ = changed_;
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;
  ~AsNobody() {
    if (!changed_) return;
    (void)!::seteuid(0);
    (void)!::setegid(0);
    (void)!::setgroups(groups_.size(), groups_.data());
  }
  // False where root cannot become another user: skip, and say so.
  bool enough() const { return enough_; }

 private:
  std::vector<gid_t> groups_;
  bool changed_ = false, enough_ = true;
};

}  // namespace breakeven::testing

// First in a test, as a statement: from here on to the end of the block a folder of mode 0 is
// closed.
#define BREAKEVEN_AS_NOBODY()                     \
  const ::breakeven::testing::AsNobody as_nobody; \
  if (!as_nobody.enough()) GTEST_SKIP() << "SKIPPED: root cannot become another user here"
