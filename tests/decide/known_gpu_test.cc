#include "decide/known_gpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "decide/made_up_records.h"
#include "decide/rows.h"

namespace breakeven::decide {
namespace {

using breakeven::testing::cpu_engine;
using breakeven::testing::gpu_engine;
using breakeven::testing::made_up;
using ::testing::Contains;
using ::testing::HasSubstr;
using Records = std::vector<record::Record>;

constexpr record::ModelShape kShape = {6, 768, 12, 3072};

// Serial and stream, batches of 1, 8 and 32, of a GPU that ships.
Records known_gpu() {
  Records records = breakeven::testing::gpu_run();
  for (record::Record& record : records) {
    record.model_shape = kShape;
    record.started_at = "2026-11-26T13:42:11Z";
  }
  return records;
}

// One row of another model of the same shape, whose texts are shorter.
record::Record own_row() {
  record::Record own = made_up(cpu_engine(), Precision::fp32, 1, Mode::serial);
  own.model_shape = kShape;
  own.model_hash = "fine-tuned";
  own.model_name = "my model";
  own.texts.hash = "my texts";
  for (std::uint32_t& length : own.texts.token_counts) length = std::max(10U, length / 3);
  return own;
}

// What the made-up engine would take for a pass over the own lengths.
double truth(const record::Record& own, std::uint64_t batch) {
  const testing::Engine engine = gpu_engine();
  double seconds = 0;
  double texts = 0;
  for (std::size_t i = 0; i < own.texts.token_counts.size(); ++i) {
    const auto length = static_cast<double>(own.texts.token_counts[i]);
    if (i % batch == 0) seconds += engine.a_s;
    seconds += engine.b_s * length + engine.c_s * length * length;
    texts += 1;
  }
  return texts / seconds;
}

TEST(KnownGpu, ItsTimesFollowTheOwnLengths) {
  const record::Record own = own_row();
  const auto carried = on_own_texts(known_gpu(), Records{own});
  ASSERT_TRUE(carried) << carried.error().to_string();
  EXPECT_EQ(carried->size(), 12U);
  for (const record::Record& record : *carried) {
    if (record.cell.precision != Precision::fp32) continue;
    const double pipelining = record.cell.mode == Mode::stream ? gpu_engine().pipelining : 1;
    EXPECT_NEAR(record.reviews_per_s.value / (pipelining * truth(own, record.cell.batch)), 1, 1e-3)
        << record.cell.batch;
    EXPECT_EQ(record.model_hash, "fine-tuned");
    EXPECT_FALSE(record.parity) << "judged on other weights";
  }
  const RowSet rows(*carried);
  for (const Row& row : rows.rows()) {
    EXPECT_TRUE(row.per_s.interval);
    EXPECT_THAT(row.doubts, Contains(HasSubstr("from the Made-up GPU record of 2026-11-26")));
  }
}

// The noise of the record stays in: a carried row is not surer than a measured one.
TEST(KnownGpu, ItsNoiseIsCarriedOverToo) {
  Records known = known_gpu();
  for (record::Record& record : known) {
    const std::size_t a_pass = record.samples_s.size() / record.passes;
    for (std::size_t i = 0; i < record.samples_s.size(); ++i) {
      record.samples_s[i] *= i / a_pass == 2 ? 1.5 : 1;
    }
  }
  const auto carried = on_own_texts(known, Records{own_row()});
  ASSERT_TRUE(carried);
  const RowSet before(known);
  const RowSet after(*carried);
  const auto width = [](const Row& row) {
    return row.per_s.interval->high / row.per_s.interval->low;
  };
  for (std::size_t i = 0; i < before.rows().size(); ++i) {
    EXPECT_GE(width(after.rows()[i]), 0.98 * width(before.rows()[i])) << i;
  }
}

TEST(KnownGpu, AnotherShapeHasNoRecord) {
  record::Record own = own_row();
  own.model_shape->layers = 12;
  const auto refused = on_own_texts(known_gpu(), Records{own});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "known/shape");
  EXPECT_THAT(refused.error().message, HasSubstr("no record of this shape"));
  own.model_shape.reset();
  EXPECT_THAT(on_own_texts(known_gpu(), Records{own}).error().message,
              HasSubstr("do not say the model's shape"));
  own.model_hash = known_gpu().front().model_hash;  // the very model
  EXPECT_TRUE(on_own_texts(known_gpu(), Records{own}));
}

TEST(KnownGpu, WithoutLengthsOrALatencyModelItSaysSo) {
  record::Record own = own_row();
  own.texts.token_counts.clear();
  EXPECT_EQ(on_own_texts(known_gpu(), Records{own}).error().code, "known/texts");
  Records streams = known_gpu();
  std::erase_if(streams, [](const auto& record) { return record.cell.mode == Mode::serial; });
  EXPECT_EQ(on_own_texts(streams, Records{own_row()}).error().code, "known/model");
}

}  // namespace
}  // namespace breakeven::decide
