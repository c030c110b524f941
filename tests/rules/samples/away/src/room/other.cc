#include "room/counter.h"

namespace breakeven::room {
namespace {

int count(int) {
  return 2;
}

}  // namespace

int far_away(int first,
             int second) {
  return count(first) + second;
}

int Counter::next() {
  return 3;
}

int shared_on_purpose() {
  return 4;
}

}  // namespace breakeven::room
