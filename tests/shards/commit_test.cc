// Every interleaving of several attempts at one shard, each of which may die, or fail for a full
// disk, at any of its steps: on a file system and on an object store.
#include "shards/commit.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/content_hash.h"

namespace breakeven::shards {
namespace {

// How a store can be: the last two are broken, and the search below must find it.
enum class Kind : std::uint8_t { posix, object_store, replaces, shows_halves };

constexpr const char* kPart = "part";
constexpr const char* kDone = "done";
constexpr std::uint64_t kLines = 3;

std::string content_of(std::size_t attempt) {  // as devices with other bits make them
  return fmt::format("{0}\n{0}\n{0}\n", attempt);
}

struct World {
  std::map<std::string, std::string> visible;
  std::map<std::string, std::string> asides;
};

enum class Fault : std::uint8_t { none, half_then_dead, full_disk };

// What one attempt sees of the world; keeps all answers, which decide what the attempt does next.
class ModelStore final : public Store {
 public:
  ModelStore(Kind kind, World& world) : kind_(kind), world_(world) {}
  Fault fault = Fault::none;
  bool fault_asked = false;  // whether it would have made a difference
  std::string log;

  Result<bool> has(const std::string& name) override {
    const bool there = world_.visible.contains(name);
    log += there ? '+' : '-';
    return there;
  }
  Result<Seen> look(const std::string& name) override {
    const auto& files = world_.asides.contains(name) ? world_.asides : world_.visible;
    const auto found = files.find(name);
    if (found == files.end()) {
      log += '?';
      return fail("file/missing", name);
    }
    log += found->second;
    return Seen{
        found->second.size(),
        static_cast<std::uint64_t>(std::count(found->second.begin(), found->second.end(), '\n')),
        sha256_hex(found->second)};
  }
  Result<void> write_aside(const std::string& name, std::string_view content) override {
    log += 'w';
    fault_asked = true;
    if (fault == Fault::full_disk) return fail("file/unwritable", "the disk is full");
    world_.asides[name] = content.substr(0, fault == Fault::none ? content.size() : 3);
    return {};
  }
  Result<bool> publish(const std::string& aside, const std::string& name) override {
    const auto found = world_.asides.find(aside);
    if (found == world_.asides.end()) {
      log += '!';
      return fail("file/unwritable", aside);
    }
    const bool first = !world_.visible.contains(name);
    log += first ? '1' : '2';
    if (first || kind_ == Kind::replaces) {
      const bool half =
          kind_ == Kind::shows_halves && name == kPart && fault == Fault::half_then_dead;
      fault_asked = fault_asked || kind_ == Kind::shows_halves;
      world_.visible[name] = half ? found->second.substr(0, 3) : found->second;
    }
    return first || kind_ == Kind::replaces;
  }
  void remove_aside(const std::string& name) override {
    log += 'r';
    world_.asides.erase(name);
  }
  // What a bucket does not keep: an upload that was under way.
  void forget(const AttemptNames& names) {
    if (kind_ != Kind::object_store) return;
    world_.asides.erase(names.part_aside);
    world_.asides.erase(names.done_aside);
  }

 private:
  Kind kind_;
  World& world_;
};

struct Runner {
  Runner(Kind kind, World& world, std::size_t index)
      : store(kind, world),
        names{kPart, kDone, fmt::format("aside {}", index), fmt::format("aside done {}", index)},
        attempt(
            store, names, kLines,
            [this, index](const std::string& aside) {
              return store.write_aside(aside, content_of(index));
            },
            [](const Seen& part, bool own) -> Result<std::string> {
              return fmt::format("{} {}", part.sha256, own);
            }) {}
  ModelStore store;
  AttemptNames names;
  Attempt attempt;
  bool over = false;

  void move(char what) {
    store.fault = what == 'h'   ? Fault::half_then_dead
                  : what == 'f' ? Fault::full_disk
                                : Fault::none;
    store.log += what;
    store.fault_asked = false;
    if (what != 'x') {  // dead between two steps
      const auto outcome = attempt.step();
      if (!outcome) {  // as Attempt::run() does
        store.remove_aside(names.part_aside);
        store.remove_aside(names.done_aside);
      }
      over = !outcome || *outcome != Attempt::Outcome::under_way;
    }
    if (what == 'x' || what == 'h') {
      over = true;
      store.forget(names);
    }
  }
};

class Search {
 public:
  // With at most so many faults in all.
  Search(Kind kind, std::size_t attempts, std::size_t faults)
      : kind_(kind), attempts_(attempts), faults_(faults) {}
  // The first thing that is wrong, with the moves that lead to it; "" = nothing ever is.
  std::string run() {
    visit({}, 0);
    return problem_;
  }
  std::size_t states() const { return seen_.size(); }

 private:
  using Moves = std::vector<std::pair<std::size_t, char>>;

  static std::string wrong_with(const World& world, const std::optional<std::string>& before) {
    const auto part = world.visible.find(kPart);
    const auto done = world.visible.find(kDone);
    if (before && (part == world.visible.end() || part->second != *before)) {
      return "a part that was visible is another one now";
    }
    if (part != world.visible.end() &&
        std::count(part->second.begin(), part->second.end(), '\n') != kLines) {
      return "half a part is visible";
    }
    if (done == world.visible.end()) return "";
    if (part == world.visible.end()) return "a done file without a part";
    if (!done->second.starts_with(sha256_hex(part->second))) {
      return "the done file is of another part";
    }
    for (const auto& [name, content] : world.visible) {
      if (name != kPart && name != kDone) return name + " is visible";
    }
    return "";
  }

  void visit(const Moves& moves, std::size_t faults) {
    if (!problem_.empty()) return;
    World world;
    std::vector<std::unique_ptr<Runner>> runners;
    for (std::size_t i = 0; i < attempts_; ++i) {
      runners.push_back(std::make_unique<Runner>(kind_, world, i));
    }
    std::optional<std::string> part;
    std::string wrong;
    for (const auto& [index, what] : moves) {
      runners[index]->move(what);
      // The moves before the last were looked at when they were the last.
      if (&what == &moves.back().second) wrong = wrong_with(world, part);
      if (const auto found = world.visible.find(kPart); found != world.visible.end()) {
        part = found->second;
      }
    }
    const bool faulty =
        !moves.empty() && (moves.back().second == 'h' || moves.back().second == 'f');
    if (faulty && !runners[moves.back().first]->store.fault_asked) return;  // as another move
    std::string key = fmt::format("{}|", faults);
    for (const auto& runner : runners) key += runner->store.log + "|";
    for (const auto& files : {world.visible, world.asides}) {
      for (const auto& [name, content] : files) key += fmt::format("{}={};", name, content);
    }
    if (!seen_.insert(key).second) return;
    const bool all_over =
        std::all_of(runners.begin(), runners.end(), [](const auto& one) { return one->over; });
    if (wrong.empty() && all_over) wrong = resumed(world, part);
    if (!wrong.empty()) {
      problem_ = wrong + " after ";
      for (const auto& [index, what] : moves) problem_ += fmt::format("{}{} ", index, what);
      return;
    }
    for (std::size_t i = 0; i < runners.size(); ++i) {
      if (runners[i]->over) continue;
      for (const char what : {'s', 'x', 'h', 'f'}) {
        const std::size_t all = faults + (what == 's' ? 0 : 1);
        if (all > faults_) continue;
        Moves next = moves;
        next.emplace_back(i, what);
        visit(next, all);
      }
    }
  }

  // A run that nothing disturbs, later.
  std::string resumed(World& world, const std::optional<std::string>& part) const {
    Runner last(kind_, world, 9);
    const auto outcome = last.attempt.run();
    if (!outcome) return "resuming fails: " + outcome.error().to_string();
    if (!world.visible.contains(kPart) || !world.visible.contains(kDone)) {
      return "resuming does not end the shard";
    }
    return wrong_with(world, part);
  }

  Kind kind_;
  std::size_t attempts_, faults_;
  std::set<std::string> seen_;
  std::string problem_;
};

class Stores : public ::testing::TestWithParam<Kind> {};

TEST_P(Stores, NoInterleavingLosesDoublesOrHalvesAShard) {
  struct {
    std::size_t attempts, faults, least_states;
  } const cases[] = {{1, 1, 20}, {2, 2, 1'000}, {3, 1, 10'000}};
  for (const auto& one : cases) {
    Search search(GetParam(), one.attempts, one.faults);
    EXPECT_EQ(search.run(), "") << one.attempts << " attempts";
    EXPECT_GT(search.states(), one.least_states);
  }
}

INSTANTIATE_TEST_SUITE_P(Sound, Stores, ::testing::Values(Kind::posix, Kind::object_store));

TEST(BrokenStores, TheSearchFindsWhatIsWrong) {
  EXPECT_THAT(Search(Kind::replaces, 2, 1).run(), ::testing::HasSubstr("is another one now"));
  EXPECT_THAT(Search(Kind::shows_halves, 1, 1).run(),
              ::testing::HasSubstr("half a part is visible"));
}

TEST(Attempts, SayWhoseThePartIs) {
  World world;
  Runner first(Kind::posix, world, 1);
  EXPECT_EQ(first.attempt.run(), Attempt::Outcome::done);
  Runner second(Kind::posix, world, 2);
  EXPECT_EQ(second.attempt.run(), Attempt::Outcome::was_done);
  world.visible.erase(kDone);
  EXPECT_EQ(second.store.log, "+");
  Runner third(Kind::posix, world, 3);
  EXPECT_EQ(third.attempt.run(), Attempt::Outcome::adopted);
  EXPECT_THAT(world.visible[kDone], ::testing::EndsWith("false"));
  EXPECT_EQ(world.visible[kPart], content_of(1));
  EXPECT_TRUE(world.asides.empty());
}

TEST(Attempts, APartThatIsNotWholeIsNamed) {
  World world;
  world.visible[kPart] = "1\n1\n";
  Runner runner(Kind::posix, world, 2);
  const auto outcome = runner.attempt.run();
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, "shards/damaged");
  EXPECT_THAT(outcome.error().to_string(), ::testing::HasSubstr("2 lines where the plan has 3"));
}

}  // namespace
}  // namespace breakeven::shards
