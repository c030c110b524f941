// Every declaration here breaks one naming rule of .clang-tidy on purpose; naming_test.py requires the
// complaint about each of them. Never built.
#define WrongMacro_case 1

namespace WrongNamespace {

class wrong_class {
 public:
  int WrongMember = 0;

 private:
  int no_underscore = 0;
};

struct wrong_struct {};

enum class wrong_enum { WrongConstant };

constexpr int missing_k = 1;
constexpr int kNoUnit_x = 1;

template <class wrong_template>
int WrongFunction(int WrongParameter) {
  int WrongVariable = WrongParameter;
  return WrongVariable + missing_k;
}

}  // namespace WrongNamespace
