#include "serve/lane_plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace breakeven::serve {
namespace {

decide::Shape shape_of_one(std::uint32_t tokens) {
  const double s = tokens;
  return {1, s, s * s};
}

decide::Shape sum(const decide::Shape& a, const decide::Shape& b) {
  return {a.texts + b.texts, a.tokens + b.tokens, a.squares + b.squares};
}

}  // namespace

void PlannedBatch::add(const Part& part) {
  deadline_s = parts.empty() ? part.deadline_s : std::min(deadline_s, part.deadline_s);
  shape = sum(shape, shape_of_one(part.tokens));
  parts.push_back(part);
}

// `shape` joins the batch, which starts at `start_s`.
bool LanePlan::fits(const PlannedBatch& batch, const decide::Shape& shape, double deadline_s,
                    double start_s) const {
  const decide::Shape both = sum(batch.shape, shape);
  return !batch.alone && both.tokens <= static_cast<double>(limits_.tokens) &&
         both.texts <= static_cast<double>(limits_.texts) &&
         start_s + time_->safe_seconds(both) <= std::min(batch.deadline_s, deadline_s);
}

double LanePlan::end_if(std::span<const std::uint32_t> tokens, double deadline_s,
                        double free_s) const {
  double end_s = free_s + backlog_s_;
  PlannedBatch last;  // what append() would make of the last batch, without its parts
  bool any = !batches_.empty();
  if (any) {
    const PlannedBatch& waiting = batches_.back();
    last.shape = waiting.shape;
    last.deadline_s = waiting.deadline_s;
    last.seconds = waiting.seconds;
    last.alone = waiting.alone;
  }
  for (const std::uint32_t each : tokens) {
    const decide::Shape one = shape_of_one(each);
    if (any && fits(last, one, deadline_s, end_s - last.seconds)) {
      end_s -= last.seconds;
      last.shape = sum(last.shape, one);
      last.deadline_s = std::min(last.deadline_s, deadline_s);
    } else {
      any = true;
      last = {};
      last.shape = one;
      last.deadline_s = deadline_s;
    }
    last.seconds = time_->safe_seconds(last.shape);
    end_s += last.seconds;
  }
  return end_s;
}

void LanePlan::append(std::uint64_t request, std::span<const std::uint32_t> tokens,
                      double deadline_s, double free_s) {
  for (std::uint32_t text = 0; text < tokens.size(); ++text) {
    const Part part{request, text, tokens[text], deadline_s};
    const bool joins =
        !batches_.empty() && fits(batches_.back(), shape_of_one(part.tokens), deadline_s,
                                  free_s + backlog_s_ - batches_.back().seconds);
    if (!joins) batches_.emplace_back();
    PlannedBatch& batch = batches_.back();
    backlog_s_ -= batch.seconds;
    batch.add(part);
    batch.seconds = time_->safe_seconds(batch.shape);
    backlog_s_ += batch.seconds;
  }
}

void LanePlan::hand_out(std::vector<Part>& parts) {
  // What is laid out as several batches for their deadlines may be started as one.
  std::size_t texts = 0;
  std::uint64_t tokens = 0;
  for (PlannedBatch& batch : batches_) {
    for (Part& part : batch.parts) {
      tokens += part.tokens;
      const bool fits = ++texts <= limits_.texts && tokens <= limits_.tokens;
      if (texts > 1 && !fits) return;
      if (!std::exchange(part.handed_out, true)) parts.push_back(part);
    }
  }
}

void LanePlan::known(std::uint64_t request, std::uint32_t text, std::uint32_t tokens) {
  for (PlannedBatch& batch : batches_) {
    const auto part = std::find_if(batch.parts.begin(), batch.parts.end(), [&](const Part& each) {
      return each.request == request && each.text == text;
    });
    if (part == batch.parts.end()) continue;
    const decide::Shape before = shape_of_one(part->tokens), now = shape_of_one(tokens);
    part->tokens = tokens;
    batch.shape.tokens += now.tokens - before.tokens;
    batch.shape.squares += now.squares - before.squares;
    backlog_s_ -= batch.seconds;
    batch.seconds = time_->safe_seconds(batch.shape);
    backlog_s_ += batch.seconds;
    return;
  }
}

// Texts that turned out longer than they looked may be more than a batch: the last ones then wait
// for the next.
void LanePlan::split_front() {
  PlannedBatch& batch = batches_.front();
  if (batch.parts.size() == 1 || batch.shape.tokens <= static_cast<double>(limits_.tokens)) return;
  PlannedBatch first, rest;
  for (const Part& part : batch.parts) {
    const bool is_full = !first.parts.empty() &&
                         first.shape.tokens + part.tokens > static_cast<double>(limits_.tokens);
    (is_full || !rest.parts.empty() ? rest : first).add(part);
  }
  batch = std::move(first);
  rest.seconds = time_->safe_seconds(rest.shape);
  batches_.insert(batches_.begin() + 1, std::move(rest));
}

PlannedBatch LanePlan::pop(double now_s) {
  BREAKEVEN_CHECK(!batches_.empty());
  split_front();
  PlannedBatch batch = std::move(batches_.front());
  batches_.pop_front();
  while (!batches_.empty() && !batches_.front().alone &&
         fits(batch, batches_.front().shape, batches_.front().deadline_s, now_s)) {
    for (const Part& part : batches_.front().parts) batch.add(part);
    batches_.pop_front();
  }
  batch.seconds = time_->safe_seconds(batch.shape);
  count();
  return batch;
}

void LanePlan::push_front(PlannedBatch batch) {
  batch.seconds = time_->safe_seconds(batch.shape);
  batches_.push_front(std::move(batch));
  count();
}

void LanePlan::remove(std::uint64_t request) {
  for (PlannedBatch& batch : batches_) {
    const auto is_its = [&](const Part& part) { return part.request == request; };
    if (std::none_of(batch.parts.begin(), batch.parts.end(), is_its)) continue;
    PlannedBatch rest;
    rest.alone = batch.alone;
    for (const Part& part : batch.parts) {
      if (!is_its(part)) rest.add(part);
    }
    batch = std::move(rest);
  }
  std::erase_if(batches_, [](const PlannedBatch& batch) { return batch.parts.empty(); });
  time_changed();
}

void LanePlan::time_changed() {
  for (PlannedBatch& batch : batches_) batch.seconds = time_->safe_seconds(batch.shape);
  count();
}

// Summed anew, so that no rounding error grows.
void LanePlan::count() {
  backlog_s_ = 0;
  for (const PlannedBatch& batch : batches_) backlog_s_ += batch.seconds;
}

}  // namespace breakeven::serve
