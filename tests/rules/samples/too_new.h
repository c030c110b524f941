// C++23, on purpose: headers_test.py requires that the check refuses it.
#pragma once

inline int which() {
  if consteval {
    return 1;
  }
  return 0;
}
