// Uses std::string without including it, on purpose: headers_test.py requires that this is found.
#pragma once

inline std::string forgotten_include() {
  return {};
}
