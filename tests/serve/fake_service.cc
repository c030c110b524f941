#include "serve/fake_service.h"

#include <chrono>
#include <cmath>
#include <thread>

namespace breakeven::testing {

Result<void> FakeLane::run_batch(std::span<const Text> texts, BatchResult& out) {
  std::unique_lock lock(engine_.mutex);
  engine_.changed.wait(lock, [&] { return !engine_.closed; });
  engine_.texts += texts.size();
  for (const Text& text : texts) engine_.ready += text.ready != nullptr ? 1U : 0U;
  const bool fails = engine_.fails, no_number = engine_.no_number, broken = engine_.broken,
             other = engine_.other;
  const double batch_s = engine_.batch_s, token_s = engine_.token_s;
  lock.unlock();
  if (broken) return fail("fake/broken", "broken");
  out = {};
  std::size_t computed_tokens = 0;
  for (const Text& text : texts) {
    if (fails && text.first.find("poison") != std::string_view::npos) {
      return fail("fake/poison", "poison");
    }
    const bool odd = (text.bytes() % 2 == 1) != other;
    const bool is_nan = no_number && text.first.find("nan") != std::string_view::npos;
    out.logits.push_back(is_nan ? std::nanf("") : odd ? -1.0F : 1.0F);
    out.logits.push_back(odd ? 1.0F : -1.0F);
    out.labels.push_back(odd ? 1 : 0);
    out.scores.push_back(0);
    out.cut.push_back(text.bytes() + 2 > kMaxLength ? 1 : 0);
    computed_tokens += std::min(text.bytes() + 2, kMaxLength);
    out.whole_tokens.push_back(static_cast<std::uint32_t>(text.bytes() + 2));
    out.tokens.push_back(static_cast<std::uint32_t>(std::min(text.bytes() + 2, kMaxLength)));
  }
  const double seconds = batch_s + token_s * static_cast<double>(computed_tokens);
  if (seconds > 0) std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  return {};
}

serve::Served fake_served() {
  serve::Served served;
  served.model = "fake";
  served.device = "cpu";
  served.labels = {"even", "odd"};
  served.max_length = FakeLane::kMaxLength;
  served.count_tokens = [](const Text& text) { return text.bytes() + 2; };
  served.score = [](std::span<const float> logits, std::span<float> scores) {
    const float sum = std::exp(logits[0]) + std::exp(logits[1]);
    for (std::size_t i = 0; i < 2; ++i) scores[i] = std::exp(logits[i]) / sum;
  };
  return served;
}

serve::LaneSetup fake_lane(FakeEngine& engine) {
  serve::LaneSetup lane;
  lane.classifier = std::make_unique<FakeLane>(engine);
  lane.device = "cpu";
  lane.make_anew = [&engine]() -> Result<std::unique_ptr<Classifier>> {
    std::unique_lock lock(engine.mutex);
    engine.changed.wait(lock, [&] { return engine.makes; });
    ++engine.made;
    engine.broken = engine.lasts;
    return std::make_unique<FakeLane>(engine);
  };
  const double token_s = engine.token_s > 0 ? engine.token_s : 1e-6;
  lane.anchors = {{{1, 10, 100}, engine.batch_s + 10 * token_s},
                  {{1, 100, 10000}, engine.batch_s + 100 * token_s}};
  return lane;
}

FakeService::FakeService(serve::ServiceOptions options) {
  options.post = [this](std::function<void()> function) {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(function));
    changed_.notify_all();
  };
  std::vector<serve::LaneSetup> lanes;
  lanes.push_back(fake_lane(engine));
  service_ = std::make_unique<serve::Service>(fake_served(), std::move(lanes), options);
}

void FakeService::poll() {
  std::unique_lock lock(mutex_);
  while (!posted_.empty()) {
    const std::function<void()> next = std::move(posted_.front());
    posted_.pop_front();
    lock.unlock();
    next();
    lock.lock();
  }
}

void FakeService::settle() {
  while (service_->core().busy()) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !posted_.empty(); });
    }
    poll();
  }
}

}  // namespace breakeven::testing
