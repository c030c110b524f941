// The judge's logits that ship (data/judge) are those of the fp32 path, text for text. Takes
// minutes. BREAKEVEN_UPDATE_JUDGE=1 writes them anew.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/cpus.h"
#include "base/limits.h"
#include "measure/parity.h"
#include "session/session.h"
#include "session/study_input.h"
#include "study/judging.h"
#include "testing/paths.h"

namespace breakeven::session {
namespace {

void check(const std::string& texts) {
  Options options;
  options.model = "builtin";
  const auto session = Session::open(options);
  ASSERT_TRUE(session) << session.error().to_string();
  data::SourceOptions source;
  source.texts = texts;
  source.labels = (*session)->facts().labels;
  const auto reviews = read_texts(source, static_cast<std::size_t>(limit("model/texts_min")));
  ASSERT_TRUE(reviews) << reviews.error().to_string();
  const study::Input input = make_input(**session, *reviews, 64);
  const measure::JudgeKey key{input.prototype.model_hash, measure::hash_texts(input.texts),
                              study::kNativeJudge, 512};
  const auto folder = (testing::source_dir() / "data/judge").string();
  EXPECT_EQ(std::filesystem::path(input.shipped).lexically_normal(),
            std::filesystem::path(folder).lexically_normal());
  study::Spec spec;
  spec.threads = usable_cpus().threads();
  spec.batch = 8;
  const auto judge = (*session)->make(spec);
  ASSERT_TRUE(judge) << judge.error().to_string();
  const bool update = std::getenv("BREAKEVEN_UPDATE_JUDGE") != nullptr;
  const auto here = measure::judge_logits(**judge, input.texts, 8, key, update ? folder : "");
  ASSERT_TRUE(here) << here.error().to_string();
  const auto shipped = measure::cached_judge(key, input.texts.size(), folder);
  ASSERT_TRUE(shipped) << "no logits ship for " << texts;
  const auto parity = measure::judge_outputs(here->outputs(), shipped->outputs(), {});
  ASSERT_TRUE(parity) << parity.error().to_string();
  EXPECT_EQ(parity->outcome, record::Agreement::passed) << parity->logit_abs_max;
}

TEST(ShippedJudge, OfTheBuiltInTexts) {
  check("builtin");
}

TEST(ShippedJudge, OfImdb) {
  const auto archive = testing::shared_file("data/aclImdb.tar.xz");
  if (!archive) GTEST_SKIP() << "SKIPPED: no aclImdb.tar.xz";
  check(archive->string());
}

}  // namespace
}  // namespace breakeven::session
