// A header whose functions stand in several files.
#pragma once

namespace breakeven::room {

int count();
int far_away(int first, int second);
int shared_on_purpose();

class Counter {
 public:
  int next();
};

}  // namespace breakeven::room
