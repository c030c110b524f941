#include "cli/shard_worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "decide/shards.h"
#include "measure/environment.h"
#include "measure/parity.h"
#include "record/json.h"

namespace breakeven::cli {
namespace {

// The rows [from, to) of a source that begins with row `first`; those that are rejected are empty.
// Counts the seconds that reading takes.
class ShardTexts final : public data::Source {
 public:
  ShardTexts(std::unique_ptr<data::Source> source, std::uint64_t first, std::uint64_t from,
             std::uint64_t to, const std::map<std::uint64_t, std::string>& rejected)
      : source_(std::move(source)), row_(first), from_(from), to_(to), rejected_(rejected) {}

  Result<std::optional<data::Review>> next() override {
    Lap lap(monotonic_clock());
    for (;;) {
      if (row_ == to_ && from_ != to_ && limited_) return std::optional<data::Review>();
      BREAKEVEN_TRY(auto review, source_->next());
      read_s_ += lap.seconds();
      if (!review) return review;
      const std::uint64_t row = row_++;
      if (row < from_) continue;
      if (!rejected_.contains(row)) return review;
      review->text.clear();
      if (review->second) review->second->clear();
      return review;
    }
  }
  std::string name() const override { return source_->name(); }
  std::string losses() const override { return source_->losses(); }
  double read_s() const { return read_s_; }
  void limit() { limited_ = true; }

 private:
  std::unique_ptr<data::Source> source_;
  std::uint64_t row_, from_, to_;
  const std::map<std::uint64_t, std::string>& rejected_;
  bool limited_ = false;  // stops at to_; else the source's own end checks its bytes
  double read_s_ = 0;
};

// What a part says of its texts.
struct Labels {
  std::vector<float> logits;
  std::size_t texts = 0, classes = 0;
};

Result<Labels> read_labels(const std::string& path) {
  BREAKEVEN_TRY(const MappedFile file, MappedFile::open(path));
  Labels labels;
  std::string_view text = file.text();
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const JsonSource source{fmt::format("{}, line {}", path, number), "shards/damaged",
                            "shards/damaged", "--finish takes it away; run the shard again"};
    BREAKEVEN_TRY(const JsonDocument document, JsonDocument::parse(text.substr(0, end), source));
    BREAKEVEN_TRY(const JsonObject line, document.object());
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto logits = line.find("logits");
    if (!logits) {  // rejected: no answer to compare
      labels.logits.insert(labels.logits.end(), labels.classes, 0.0F);
      ++labels.texts;
      continue;
    }
    const std::vector<JsonValue> values = logits->list();
    labels.logits.insert(labels.logits.begin(),
                         labels.classes == 0 ? labels.texts * values.size() : 0, 0.0F);
    labels.classes = values.size();
    for (const JsonValue value : values) {
      labels.logits.push_back(static_cast<float>(value.number().value_or(0)));
    }
    ++labels.texts;
  }
  return labels;
}

}  // namespace

ShardWorker::ShardWorker(shards::Folder& folder, const shards::Plan& plan,
                         std::unique_ptr<Classifier> classifier, ShardSetup setup)
    : folder_(folder), plan_(plan), classifier_(std::move(classifier)), setup_(std::move(setup)) {}

Result<void> ShardWorker::label(std::uint64_t shard, std::uint64_t from, std::uint64_t to,
                                const std::map<std::uint64_t, std::string>& rejected,
                                const std::string& path) {
  const shards::Shard& planned = plan_.shards[shard];
  Lap lap(monotonic_clock());
  BREAKEVEN_TRY(auto source, shards::open_shard(plan_, planned));
  ShardTexts texts(std::move(source), planned.first_row, from, to, rejected);
  if (to < planned.first_row + planned.rows) texts.limit();
  BREAKEVEN_TRY(Output output, Output::open(path, ""));
  LabelForm form = setup_.form;
  form.first_index = from;
  form.rejected = rejected;
  counts_ = {};
  BREAKEVEN_TRY_VOID(
      label_texts(texts, *classifier_, setup_.batch, form, setup_.limits, output, counts_));
  BREAKEVEN_TRY_VOID(output.close());
  if (const std::string losses = texts.losses(); !losses.empty()) tell(losses);
  timed_ = {};
  timed_.rejected = rejected.size();
  timed_.seconds = lap.seconds();
  timed_.read_s = texts.read_s();
  timed_.compute_s = counts_.compute_s;
  return {};
}

record::Record ShardWorker::record_of(std::uint64_t shard, const shards::Seen& part) const {
  record::Record record = setup_.prototype;
  record.kind = record::Kind::shard;
  record.started_at = measure::utc_now();
  const shards::Shard& planned = plan_.shards[shard];
  record.shard = timed_;
  record.shard->index = shard;
  record.shard->first_row = planned.first_row;
  record.shard->rows = planned.rows;
  record.shard->part = shards::Folder::part_name(shard);
  record.shard->bytes = part.bytes;
  record.shard->sha256 = part.sha256;
  record.texts.name = plan_.files[planned.pieces.front().file].reading.texts;
  record.texts.count = planned.rows;
  if (timed_.seconds <= 0) return record;
  record.texts.truncated = counts_.cut;
  record.texts.real_tokens = counts_.tokens;
  record.texts.computed_tokens = counts_.computed_tokens;
  record.texts.mean_tokens =
      static_cast<double>(counts_.tokens) / static_cast<double>(planned.rows);
  record.passes = 1;
  record.reviews_per_s.value = static_cast<double>(planned.rows) / timed_.seconds;
  record.tokens_per_s.value = static_cast<double>(counts_.tokens) / timed_.seconds;
  return record;
}

Result<ShardWorker::Outcome> ShardWorker::run(const ShardRequest& request) {
  const shards::Shard& planned = plan_.shards[request.shard];
  timed_ = {};
  shards::Attempt attempt(
      folder_, folder_.names(request.shard), planned.rows,
      [&](const std::string& aside) {
        return label(request.shard, planned.first_row, planned.first_row + planned.rows,
                     request.rejected, folder_.at(aside));
      },
      [&](const shards::Seen& part, bool own) -> Result<std::string> {
        if (!own) {  // whose seconds are not known
          const std::uint64_t rejected = timed_.rejected;
          timed_ = {};
          timed_.rejected = rejected;
          timed_.adopted = true;
        }
        BREAKEVEN_TRY(std::string line, record::to_json_line(record_of(request.shard, part)));
        return line + "\n";
      });
  return attempt.run();
}

Result<void> ShardWorker::probe(std::uint64_t shard, std::uint64_t from, std::uint64_t to) {
  return label(shard, from, to, {}, "/dev/null");
}

Result<bool> ShardWorker::check(std::uint64_t shard) {
  const std::string done = shards::Folder::done_name(shard);
  const std::string name = shards::Folder::check_name(shard);
  BREAKEVEN_TRY(const bool is_done, folder_.has(done));
  BREAKEVEN_TRY(const bool checked, folder_.has(name));
  if (!is_done || checked) return false;
  BREAKEVEN_TRY(const std::string text, read_file(folder_.at(done)));
  BREAKEVEN_TRY(const record::Record theirs, record::parse_record(text));
  // Who made an adopted part is not known.
  if (!theirs.shard || theirs.shard->adopted || theirs.shard->rejected > 0 ||
      decide::device_class(theirs) == decide::device_class(setup_.prototype)) {
    return false;
  }
  const shards::Shard& planned = plan_.shards[shard];
  const std::string aside = folder_.aside(fmt::format("check-{:06}", shard));
  const auto compare = [&]() -> Result<bool> {
    BREAKEVEN_TRY_VOID(
        label(shard, planned.first_row, planned.first_row + planned.rows, {}, folder_.at(aside)));
    BREAKEVEN_TRY(const Labels judge, read_labels(folder_.at(theirs.shard->part)));
    BREAKEVEN_TRY(const Labels ours, read_labels(folder_.at(aside)));
    BREAKEVEN_TRY(const shards::Seen seen, folder_.look(aside));
    record::Record record = record_of(shard, seen);
    measure::JudgeQuestion question;
    question.precision = record.cell.precision;
    question.problem = setup_.problem;
    question.judge = decide::device_class(theirs);
    BREAKEVEN_TRY(record.parity, measure::judge_outputs({ours.classes, ours.logits},
                                                        {judge.classes, judge.logits}, question));
    BREAKEVEN_TRY(const std::string line, record::to_json_line(record));
    return folder_.put(name, line + "\n");
  };
  Result<bool> written = compare();
  folder_.remove_aside(aside);
  return written;
}

}  // namespace breakeven::cli
