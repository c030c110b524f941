#include "shards/commit.h"

#include <fmt/format.h>

#include <utility>

namespace breakeven::shards {

Attempt::Attempt(Store& store, AttemptNames names, std::uint64_t lines, Work work, Receipt receipt)
    : store_(store),
      names_(std::move(names)),
      lines_(lines),
      work_(std::move(work)),
      receipt_(std::move(receipt)) {}

Result<void> Attempt::take_seen(const std::string& name, Seen& seen) {
  BREAKEVEN_TRY(seen, store_.look(name));
  if (seen.lines == lines_) return {};
  return fail("shards/damaged",
              fmt::format("{} has {} lines where the plan has {}", name, seen.lines, lines_),
              "end all runs on this folder, then --finish takes it away");
}

Result<Attempt::Outcome> Attempt::step() {
  switch (state_) {
    case State::look_for_done: {
      BREAKEVEN_TRY(const bool done, store_.has(names_.done));
      state_ = done ? State::over : State::look_for_part;
      if (done) outcome_ = Outcome::was_done;
      break;
    }
    case State::look_for_part: {
      BREAKEVEN_TRY(const bool there, store_.has(names_.part));
      state_ = there ? State::look_at_part : State::work;
      break;
    }
    case State::work:
      BREAKEVEN_TRY_VOID(work_(names_.part_aside));
      state_ = State::look_aside;
      break;
    case State::look_aside:
      BREAKEVEN_TRY_VOID(take_seen(names_.part_aside, mine_));
      state_ = State::publish_part;
      break;
    case State::publish_part: {
      BREAKEVEN_TRY(const bool first, store_.publish(names_.part_aside, names_.part));
      if (first) part_ = mine_;
      state_ = first ? State::write_receipt : State::look_at_part;
      break;
    }
    case State::look_at_part:
      BREAKEVEN_TRY_VOID(take_seen(names_.part, part_));
      state_ = State::write_receipt;
      break;
    case State::write_receipt: {
      BREAKEVEN_TRY(const std::string content, receipt_(part_, part_ == mine_));
      BREAKEVEN_TRY_VOID(store_.write_aside(names_.done_aside, content));
      state_ = State::publish_done;
      break;
    }
    case State::publish_done:
      // Whoever was first told of the same part.
      BREAKEVEN_TRY_VOID(store_.publish(names_.done_aside, names_.done));
      state_ = State::clear_part;
      break;
    case State::clear_part:
      store_.remove_aside(names_.part_aside);
      state_ = State::clear_done;
      break;
    case State::clear_done:
      store_.remove_aside(names_.done_aside);
      outcome_ = part_ == mine_ ? Outcome::done : Outcome::adopted;
      state_ = State::over;
      break;
    case State::over:
      break;
  }
  return outcome_;
}

Result<Attempt::Outcome> Attempt::run() {
  for (;;) {
    auto outcome = step();
    if (!outcome) {
      store_.remove_aside(names_.part_aside);
      store_.remove_aside(names_.done_aside);
    }
    if (!outcome || state_ == State::over) return outcome;
  }
}

}  // namespace breakeven::shards
