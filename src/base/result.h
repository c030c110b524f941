// Result<T>: what a function returns when its input or its environment can be wrong.
// An Error says what failed, on which value, and what to try. Our own bugs are BREAKEVEN_CHECK's,
// not this.
//
//   Result<int> parse(std::string_view s) {
//     if (s.empty()) return fail("batch/empty", "--batch is empty", "give a list such as --batch
//     1,32");
//   }
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace breakeven {

struct Error {
  std::string
      code;  // stable name of the cause, "room/cause": tests compare it, users can search for it
  std::string message;  // what failed, and the value it failed on
  std::string hint;     // what to try; may be empty

  // One line for a person: message, then the hint.
  std::string to_string() const { return hint.empty() ? message : message + "; " + hint; }
};

// Has std::expected's members; the class exists to be [[nodiscard]].
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

inline tl::unexpected<Error> fail(std::string code, std::string message, std::string hint = {}) {
  return tl::unexpected<Error>(Error{std::move(code), std::move(message), std::move(hint)});
}

// Hands an error on unchanged: if (!r) return propagate(std::move(r));
template <class T>
tl::unexpected<Error> propagate(Result<T>&& failed) {
  return tl::unexpected<Error>(std::move(failed).error());
}

}  // namespace breakeven

#define BREAKEVEN_CONCAT_INNER(a, b) a##b
#define BREAKEVEN_CONCAT(a, b) BREAKEVEN_CONCAT_INNER(a, b)
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot stand in parentheses.
// BREAKEVEN_TRY(auto x, f()): x is f()'s value, or this function returns f()'s error.
#define BREAKEVEN_TRY(declaration, expression) \
  BREAKEVEN_TRY_IMPL(BREAKEVEN_CONCAT(result_, __LINE__), declaration, expression)
#define BREAKEVEN_TRY_IMPL(temporary, declaration, expression)         \
  auto temporary = (expression);                                       \
  if (!temporary) return ::breakeven::propagate(std::move(temporary)); \
  declaration = *std::move(temporary)
// BREAKEVEN_TRY_VOID(f()): the same for Result<void>.
#define BREAKEVEN_TRY_VOID(expression) \
  if (auto failed_ = (expression); !failed_) return ::breakeven::propagate(std::move(failed_))
// NOLINTEND(bugprone-macro-parentheses)
