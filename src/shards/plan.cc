#include "shards/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"

namespace breakeven::shards {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kVersion = 1;
constexpr std::pair<data::Format, const char*> kFormats[] = {
    {data::Format::jsonl, "jsonl"}, {data::Format::csv, "csv"}, {data::Format::lines, "lines"}};

const char* name_of(data::Format format) {
  for (const auto& [one, name] : kFormats) {
    if (one == format) return name;
  }
  return "auto";
}

Json to_json(const PlannedFile& file) {
  const data::SourceOptions& reading = file.reading;
  Json json = {{"file", reading.texts},
               {"bytes", file.mark.bytes},
               {"ends", file.mark.ends},
               {"format", name_of(reading.format)},
               {"text_field", reading.text_field},
               {"pair_field", reading.pair_field}};
  if (reading.encoding) json["encoding"] = data::name_of(*reading.encoding);
  if (reading.format == data::Format::jsonl) json["one_a_line"] = reading.one_a_line;
  if (reading.format == data::Format::csv) {
    json["separator"] = std::string(1, reading.separator);
    json["quoting"] = reading.quoting == data::Quoting::on ? "on" : "off";
    json["header"] = reading.header;
    json["columns"] = reading.columns;
  }
  return json;
}

Result<PlannedFile> parse_file(const JsonObject& json) {
  PlannedFile file;
  data::SourceOptions& reading = file.reading;
  reading.label_field = "";
  BREAKEVEN_TRY(reading.texts, json.text("file"));
  BREAKEVEN_TRY(file.mark.bytes, json.count("bytes"));
  BREAKEVEN_TRY(const std::uint64_t ends, json.count("ends", {0, UINT32_MAX}));
  file.mark.ends = static_cast<std::uint32_t>(ends);
  BREAKEVEN_TRY(const std::string format, json.text("format"));
  BREAKEVEN_TRY(reading.format, data::parse_format(format));
  BREAKEVEN_TRY(reading.text_field, json.text("text_field"));
  BREAKEVEN_TRY(reading.pair_field, json.text("pair_field"));
  BREAKEVEN_TRY(const std::string encoding, json.text("encoding", ""));
  if (!encoding.empty()) {
    BREAKEVEN_TRY(reading.encoding, data::parse_encoding(encoding));
  }
  BREAKEVEN_TRY(reading.one_a_line, json.boolean("one_a_line", false));
  if (reading.format != data::Format::csv) return file;
  BREAKEVEN_TRY(const std::string separator, json.text("separator"));
  BREAKEVEN_TRY(reading.separator, data::parse_separator(separator));
  BREAKEVEN_TRY(const std::string quoting, json.text("quoting"));
  BREAKEVEN_TRY(reading.quoting, data::parse_quoting(quoting));
  BREAKEVEN_TRY(reading.header, json.boolean("header"));
  BREAKEVEN_TRY(const auto columns, json.list("columns"));
  for (const JsonValue column : columns) {
    BREAKEVEN_TRY(reading.columns.emplace_back(), json.as_text(column, "columns"));
  }
  return file;
}

Json to_json(const ShardPiece& one) {
  Json json = {{"file", one.file}, {"first_row", one.piece.first_row}, {"rows", one.piece.rows}};
  if (one.piece.end == 0) return json;
  json["begin"] = one.piece.begin;
  json["end"] = one.piece.end;
  json["lines"] = one.piece.lines;
  json["crc"] = one.piece.crc;
  return json;
}

Result<ShardPiece> parse_piece(const JsonObject& json, std::size_t files) {
  ShardPiece one;
  BREAKEVEN_TRY(one.file, json.count("file", {0, files - 1}));
  BREAKEVEN_TRY(one.piece.first_row, json.count("first_row"));
  BREAKEVEN_TRY(one.piece.rows, json.count("rows", {.least = 1}));
  BREAKEVEN_TRY(one.piece.end, json.count("end", {}, 0));
  if (one.piece.end == 0) return one;
  BREAKEVEN_TRY(one.piece.begin, json.count("begin", {0, one.piece.end}));
  BREAKEVEN_TRY(one.piece.lines, json.count("lines"));
  BREAKEVEN_TRY(const std::uint64_t crc, json.count("crc", {0, UINT32_MAX}));
  one.piece.crc = static_cast<std::uint32_t>(crc);
  return one;
}

Result<void> parse_job(const JsonObject& json, Plan& plan, std::uint64_t& shards) {
  BREAKEVEN_TRY(const std::uint64_t version, json.count("plan"));
  if (version != kVersion) return json.wrong("plan", "a version that this program reads (1)");
  BREAKEVEN_TRY(shards, json.count("shards", {.least = 1}));
  BREAKEVEN_TRY(plan.rows_a_shard, json.count("rows_a_shard", {.least = 1}));
  BREAKEVEN_TRY(const JsonObject fingerprint, json.object("fingerprint"));
  for (const JsonField& field : fingerprint.fields()) {
    BREAKEVEN_TRY(std::string value, fingerprint.as_text(field.value, field.name));
    plan.fingerprint.emplace_back(field.name, std::move(value));
  }
  BREAKEVEN_TRY(const auto files, json.list("files", {.least = 1}));
  for (const JsonValue one : files) {
    BREAKEVEN_TRY(const JsonObject object, json.as_object(one, "files"));
    BREAKEVEN_TRY(PlannedFile file, parse_file(object));
    plan.files.push_back(std::move(file));
  }
  return {};
}

Result<void> parse_shard(const JsonObject& json, Plan& plan) {
  const std::uint64_t next = plan.rows();
  BREAKEVEN_TRY(const std::uint64_t index, json.count("shard"));
  if (index != plan.shards.size()) {
    return json.wrong("shard", fmt::format("{}, which comes next", plan.shards.size()));
  }
  Shard shard;
  shard.first_row = next;
  BREAKEVEN_TRY(shard.rows, json.count("rows", {.least = 1}));
  BREAKEVEN_TRY(const auto pieces, json.list("pieces", {.least = 1}));
  std::uint64_t rows = 0;
  for (const JsonValue one : pieces) {
    BREAKEVEN_TRY(const JsonObject object, json.as_object(one, "pieces"));
    BREAKEVEN_TRY(const ShardPiece piece, parse_piece(object, plan.files.size()));
    rows += piece.piece.rows;
    shard.pieces.push_back(piece);
  }
  if (rows != shard.rows) {
    return json.wrong("rows", fmt::format("{}, which its pieces have", rows));
  }
  plan.shards.push_back(std::move(shard));
  return {};
}

// All pieces of a shard, one behind the other.
class ShardSource final : public data::Source {
 public:
  ShardSource(const Plan& plan, const Shard& shard) : plan_(plan), shard_(shard) {}

  Result<std::optional<data::Review>> next() override {
    for (;;) {
      if (source_ != nullptr) {
        BREAKEVEN_TRY(auto review, source_->next());
        if (review) {
          ++rows_;
          return review;
        }
        add_losses();
        // Fewer or more records in the same bytes: other options than the plan's.
        const data::Piece& piece = shard_.pieces[opened_ - 1].piece;
        if (rows_ != piece.rows) {
          return fail("data/changed",
                      fmt::format("{}: {} records where the plan has {}", source_->name(), rows_,
                                  piece.rows),
                      "make a new plan in another folder");
        }
      }
      if (opened_ == shard_.pieces.size()) return std::optional<data::Review>();
      const ShardPiece& piece = shard_.pieces[opened_++];
      rows_ = 0;
      BREAKEVEN_TRY(source_, data::open_piece(plan_.files[piece.file].reading, piece.piece));
    }
  }
  std::string name() const override { return source_ == nullptr ? "a shard" : source_->name(); }
  std::string losses() const override { return losses_; }

 private:
  void add_losses() {
    const std::string losses = source_->losses();
    if (!losses.empty()) losses_ += (losses_.empty() ? "" : "; ") + losses;
  }

  const Plan& plan_;
  const Shard& shard_;
  std::unique_ptr<data::Source> source_;
  std::size_t opened_ = 0;
  std::uint64_t rows_ = 0;  // of this piece so far
  std::string losses_;
};

}  // namespace

Result<Plan> make_plan(std::span<const data::SourceOptions> files, std::uint64_t rows_a_shard,
                       Fingerprint fingerprint) {
  Plan plan;
  plan.fingerprint = std::move(fingerprint);
  plan.rows_a_shard = rows_a_shard;
  Shard open;
  const auto close = [&] {
    if (open.rows == 0) return;
    const std::uint64_t next = open.first_row + open.rows;
    plan.shards.push_back(std::exchange(open, {}));
    open.first_row = next;
  };
  for (const data::SourceOptions& options : files) {
    BREAKEVEN_TRY(data::Outline outline,
                  data::outline(options, rows_a_shard - open.rows, rows_a_shard));
    if (outline.pieces.empty()) {
      return fail("data/empty", fmt::format("{} holds no record", options.texts),
                  "give files with at least one text");
    }
    for (const data::Piece& piece : outline.pieces) {
      open.pieces.push_back({plan.files.size(), piece});
      open.rows += piece.rows;
      if (open.rows == rows_a_shard) close();
    }
    plan.files.push_back({std::move(outline.reading), outline.mark});
  }
  close();
  return plan;
}

std::string to_jsonl(const Plan& plan) {
  Json job = {{"plan", kVersion},
              {"rows", plan.rows()},
              {"shards", plan.shards.size()},
              {"rows_a_shard", plan.rows_a_shard}};
  Json& fingerprint = job["fingerprint"] = Json::object();
  for (const auto& [name, value] : plan.fingerprint) fingerprint[name] = value;
  Json& files = job["files"] = Json::array();
  for (const PlannedFile& file : plan.files) files.push_back(to_json(file));
  const auto line = [](const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  };
  std::string text = line(job);
  for (std::size_t i = 0; i < plan.shards.size(); ++i) {
    Json json = {{"shard", i}, {"rows", plan.shards[i].rows}};
    Json& pieces = json["pieces"] = Json::array();
    for (const ShardPiece& piece : plan.shards[i].pieces) pieces.push_back(to_json(piece));
    text += line(json);
  }
  return text;
}

Result<Plan> parse_plan(std::string_view text, const std::string& name) {
  Plan plan;
  std::uint64_t shards = 0;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const JsonSource source{fmt::format("{}, line {}", name, number), "shards/plan", "shards/plan",
                            "it is not what --plan wrote: choose another folder"};
    BREAKEVEN_TRY(const JsonDocument document, JsonDocument::parse(text.substr(0, end), source));
    BREAKEVEN_TRY(const JsonObject object, document.object());
    BREAKEVEN_TRY_VOID(number == 1 ? parse_job(object, plan, shards) : parse_shard(object, plan));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (shards == 0 || plan.shards.size() != shards) {
    return fail("shards/plan",
                fmt::format("{} is cut off: {} shards of {}", name, plan.shards.size(), shards),
                "it is not what --plan wrote: choose another folder");
  }
  return plan;
}

Result<void> check_same(const Plan& plan, const Fingerprint& fingerprint,
                        std::span<const data::SourceOptions> files, const std::string& folder) {
  std::vector<std::string> differences;
  const auto differ = [&](const std::string& what, const std::string& theirs,
                          const std::string& ours) {
    if (theirs != ours) differences.push_back(fmt::format("{} {}, not {}", what, theirs, ours));
  };
  const auto value_in = [](const Fingerprint& all, const std::string& name) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.first == name; });
    return found == all.end() ? std::string("(none)") : found->second;
  };
  for (const auto& [name, value] : plan.fingerprint) {
    differ(name, value, value_in(fingerprint, name));
  }
  for (const auto& [name, value] : fingerprint) {
    if (value_in(plan.fingerprint, name) == "(none)") differ(name, "(none)", value);
  }
  if (files.size() != plan.files.size()) {
    differences.push_back(fmt::format("{} files, not {}", plan.files.size(), files.size()));
  }
  for (std::size_t i = 0; i < std::min(files.size(), plan.files.size()); ++i) {
    const PlannedFile& planned = plan.files[i];
    differ("file", planned.reading.texts, files[i].texts);
    if (planned.reading.texts != files[i].texts) break;
    BREAKEVEN_TRY(const data::FileMark mark, data::mark_of(files[i].texts));
    if (mark == planned.mark) continue;
    differences.push_back(mark.bytes == planned.mark.bytes
                              ? fmt::format("{} with other content", files[i].texts)
                              : fmt::format("{} of {} bytes, not {}", files[i].texts,
                                            planned.mark.bytes, mark.bytes));
  }
  if (differences.empty()) return {};
  return fail("shards/other-job",
              fmt::format("{} is of another job: {}", folder, fmt::join(differences, "; ")),
              "choose another folder, or give what it was planned with");
}

Result<std::unique_ptr<data::Source>> open_shard(const Plan& plan, const Shard& shard) {
  return std::unique_ptr<data::Source>(std::make_unique<ShardSource>(plan, shard));
}

}  // namespace breakeven::shards
