// Texts that wait are tokenised while a batch is computed.
#include "serve/preparer.h"

#include <gtest/gtest.h>

#include <atomic>

#include "serve/fake_service.h"

namespace breakeven::serve {
namespace {

using testing::FakeService;

class PreparerTest : public ::testing::Test {
 protected:
  FakeService& started() {
    ServiceOptions options;
    options.read = [this](const Text& text, TokenIds& made) {
      made.ids.assign(text.bytes() + 2, 7);
      ++read_;
    };
    return fake_.emplace(options);
  }
  std::uint64_t ask(const std::string& text) {
    return fake_->service().submit(
        {{text, std::nullopt}}, fake_->service().now_s(), 0,
        [this](const Checked<Answer>& answer) { told_ += answer ? 1 : 0; });
  }
  // Until so many were read, and the service knows it.
  void wait_for(int count) {
    while (read_ < count || fake_->service().preparing()) fake_->poll();
  }

  std::atomic<int> read_ = 0;
  int told_ = 0;
  std::optional<FakeService> fake_;
};

TEST_F(PreparerTest, TheNextBatchBeginsWithIds) {
  FakeService& fake = started();
  fake.engine.set_closed(true);
  ask("computed at once");
  ask("one");
  ask("two");
  ask("three");
  wait_for(3);
  fake.engine.set_closed(false);
  fake.settle();
  EXPECT_EQ(told_, 4);
  EXPECT_EQ(read_, 3);  // each once, and not the one that a lane began with
  EXPECT_EQ(fake.engine.texts - fake.engine.ready, 2U);  // that one, and the probe at the start
  EXPECT_NE(fake.service().metrics_text().find("breakeven_tokenized_ahead_total 3\n"),
            std::string::npos);
}

TEST_F(PreparerTest, WhoLeavesMeanwhileIsForgotten) {
  FakeService& fake = started();
  fake.engine.set_closed(true);
  ask("computed at once");
  const std::uint64_t leaves = ask("leaves");
  ask("stays");
  fake.service().cancel(leaves);
  wait_for(2);
  fake.engine.set_closed(false);
  fake.settle();
  EXPECT_EQ(told_, 2);
  EXPECT_EQ(fake.engine.ready, 1U);
}

// Its thread ends whatever it is at.
TEST_F(PreparerTest, EndsWithWorkUnderWay) {
  FakeService& fake = started();
  fake.engine.set_closed(true);
  ask("computed at once");
  for (int i = 0; i < 100; ++i) ask("waits");
  fake.engine.set_closed(false);
  fake_.reset();
}

}  // namespace
}  // namespace breakeven::serve
