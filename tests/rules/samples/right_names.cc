// The same declarations with names as CONTRIBUTING.md asks for; naming_test.py requires that clang-tidy is
// content. Never built.
#define BREAKEVEN_RIGHT_MACRO 1

namespace right_namespace {

class RightClass {
 public:
  int right_member = 0;

 private:
  int underscore_ = 0;
};

struct RightStruct {};

enum class RightEnum { right_constant };

constexpr int kRightConstant = 1;
constexpr double kRightConstant_s = 1;

template <class RightTemplate>
int right_function(int right_parameter) {
  int right_variable = right_parameter;
  return right_variable + kRightConstant;
}

}  // namespace right_namespace
