// A download over a transport that is made up: which attempts follow which failure.
#include "hub/download.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "base/files.h"
#include "hub/fake_hub.h"
#include "testing/paths.h"

namespace breakeven::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Sends `content` from where it is asked to, up to the byte at which each answer ends.
class MadeUpHttp final : public Http {
 public:
  struct Answer {
    std::size_t end;
    std::string error;  // "": it ends well
  };
  MadeUpHttp(std::string content, std::deque<Answer> answers)
      : Http(1), content_(std::move(content)), answers_(std::move(answers)) {}

  Result<Response> perform(const Request& request) override {
    asked_from.push_back(request.from);
    const Answer answer = answers_.front();
    if (answers_.size() > 1) answers_.pop_front();
    Response response;
    response.status = request.from > 0 ? 206 : 200;
    if (request.from > 0) {
      response.headers["content-range"] = "bytes " + std::to_string(request.from) + "-/*";
    }
    const std::string_view piece =
        std::string_view(content_).substr(request.from, answer.end - request.from);
    if (!piece.empty()) BREAKEVEN_TRY_VOID(request.body(response, piece));
    if (!answer.error.empty()) return fail(answer.error, "made up");
    return response;
  }

  std::vector<std::uint64_t> asked_from;

 private:
  std::string content_;
  std::deque<Answer> answers_;  // the last one for ever
};

class DownloadTest : public ::testing::Test {
 protected:
  DownloadTest() {
    settings_.retry_wait_s = 0;
    settings_.attempts = 3;
    wanted_.name = "model.safetensors";
    wanted_.size = content_.size();
    wanted_.digest = {DigestKind::sha256, testing::sha256_of(content_)};
    wanted_.destination = folder_ / "blob";
    wanted_.lock = folder_ / "blob.lock";
  }
  Result<void> get(MadeUpHttp& http) {
    return download(http, settings_, wanted_, [&](const Event& event) {
      if (event.kind == Event::Kind::retrying) ++retries_;
    });
  }

  const std::string content_ = testing::noise(3'000'000, 1);
  breakeven::testing::TempDir folder_;
  Settings settings_;
  Wanted wanted_;
  int retries_ = 0;
};

TEST_F(DownloadTest, AfterSilenceItGoesOnFromWhatHasCome) {
  MadeUpHttp http(content_, {{1'200'000, "hub/stalled"}, {3'000'000, ""}});
  const auto done = get(http);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(retries_, 1);
  EXPECT_THAT(http.asked_from, ElementsAre(0, 1'200'000));
  EXPECT_TRUE(read_file(wanted_.destination).value() == content_);
}

TEST_F(DownloadTest, SilenceWithoutProgressIsGivenUp) {
  MadeUpHttp http(content_, {{100, "hub/stalled"}, {100, "hub/stalled"}});
  const auto done = get(http);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "hub/stalled");
  EXPECT_THAT(done.error().message, HasSubstr("3 attempts"));
  EXPECT_EQ(retries_, 2);
  EXPECT_THAT(http.asked_from, ElementsAre(0, 100, 100));
}

}  // namespace
}  // namespace breakeven::hub
