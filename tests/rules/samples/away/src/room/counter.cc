#include "room/counter.h"

namespace breakeven::room {
namespace {

int local() {
  return 1;
}

}  // namespace

int count() {
  return local();
}

}  // namespace breakeven::room
