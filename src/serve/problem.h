// What a client is told that gets no answer: a status of HTTP, and the error as everywhere.
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "base/result.h"

namespace breakeven::serve {

struct Problem {
  int status = 500;
  Error error;
  double retry_after_s = 0;  // > 0: worth another try so long from now
  double queue_s = -1;       // >= 0: it was accepted, and waited so long
};

template <class T>
using Checked = tl::expected<T, Problem>;

inline tl::unexpected<Problem> refuse(int status, std::string code, std::string message,
                                      std::string hint) {
  return tl::unexpected<Problem>(
      Problem{status, {std::move(code), std::move(message), std::move(hint)}, 0});
}

}  // namespace breakeven::serve
