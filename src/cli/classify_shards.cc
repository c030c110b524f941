#include "cli/classify_shards.h"

#include <fmt/format.h>
#include <glob.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/files.h"
#include "base/json.h"
#include "base/numbers.h"
#include "base/units.h"
#include "cli/shard_worker.h"
#include "decide/shards.h"
#include "engine/placement.h"
#include "record/json.h"
#include "session/study_input.h"

namespace breakeven::cli {
namespace {

constexpr std::uint64_t kMaxRows = 10'000'000;

struct Share {
  std::uint64_t index = 0, of = 1;
  bool from_stdin = false;
};

Result<Share> parse_share(const std::string& text) {
  if (text == "-") return Share{.from_stdin = true};
  const std::size_t slash = text.find('/');
  if (slash != std::string::npos) {
    const auto index =
        breakeven::parse_number<std::uint64_t>(std::string_view(text).substr(0, slash));
    const auto of =
        breakeven::parse_number<std::uint64_t>(std::string_view(text).substr(slash + 1));
    if (index && of && *index < *of) return Share{*index, *of};
  }
  return fail("flag/shard", fmt::format("--shard '{}' is no share of a job", text),
              "give 0/512 to 511/512 for one of 512 tasks, or - for numbers of shards on stdin");
}

Result<void> check_shard_flags(const ShardFlags& flags, const TextFlags& text) {
  if (static_cast<int>(flags.plan) + static_cast<int>(flags.finish) +
          static_cast<int>(!flags.shard.empty()) >
      1) {
    return fail("flag/shard", "--plan, --shard and --finish exclude each other",
                "plan first, then run the shards, then finish");
  }
  if (text.output.empty() || text.output == "-") {
    return fail("flag/shard", "shards need a folder for their results", "give --output FOLDER");
  }
  if (text.text || text.pair) {
    return fail("flag/shard", "--text is one text, and shards are made of files",
                "leave out --text, or --plan, --shard and --finish");
  }
  return {};
}

// Files by name or pattern, in the order given; those of a pattern sorted.
Result<std::vector<std::string>> find_inputs(const std::string& first,
                                             const std::vector<std::string>& more) {
  std::vector<std::string> wanted = {first};
  wanted.insert(wanted.end(), more.begin(), more.end());
  std::vector<std::string> found;
  for (const std::string& name : wanted) {
    if (name == "-") {
      return fail("flag/shard", "stdin cannot be cut into shards", "give files");
    }
    if (is_there(name) || name.find_first_of("*?[") == std::string::npos) {
      found.push_back(name);
      continue;
    }
    glob_t matches{};
    const int failed = ::glob(name.c_str(), GLOB_ERR, nullptr, &matches);
    for (std::size_t i = 0; i < matches.gl_pathc; ++i) found.emplace_back(matches.gl_pathv[i]);
    ::globfree(&matches);
    if (failed == GLOB_NOMATCH) {
      return fail("file/missing", fmt::format("nothing matches {}", name), "check the pattern");
    }
    if (failed != 0) {
      return fail("file/unreadable", fmt::format("cannot read a folder of {}", name),
                  "check its permissions");
    }
  }
  std::set<std::string_view> seen;
  for (const std::string& file : found) {
    if (!seen.insert(file).second) {
      return fail("flag/shard", fmt::format("{} is given twice", file), "give each file once");
    }
  }
  return found;
}

Result<std::vector<data::SourceOptions>> source_options_of(const std::vector<std::string>& files,
                                                           const ReadingFlags& reading) {
  std::vector<data::SourceOptions> all;
  for (const std::string& file : files) {
    BREAKEVEN_TRY(data::SourceOptions options, source_options(file, reading));
    options.label_field = "";
    // A file, and not the data sets of these names.
    if (file == "imdb" || file == "builtin") options.texts.insert(0, "./");
    all.push_back(std::move(options));
  }
  return all;
}

// What decides the results. Not the device, its instruction set and threads: a job may mix them.
shards::Fingerprint fingerprint_of(const ShardJob& job, const OpenModel& open) {
  const ReadingFlags& reading = job.text.reading;
  shards::Fingerprint all = {
      {"model", open.model->checkpoint.content_hash()},
      {"--precision", std::string(to_string(open.setup.precision))},
      {"--max-length", fmt::format("{}", open.setup.max_length)},
      {"--function-to-apply", std::string(name_of(job.form.function))},
      {"--top-k", job.form.top == SIZE_MAX ? "all" : fmt::format("{}", job.form.top)},
      {"--input-format", reading.input_format},
      {"--encoding", reading.encoding},
      {"--text-field", reading.text_field},
      {"--pair-field", reading.pair_field},
      {"--csv-separator", reading.csv_separator},
      {"--csv-quoting", reading.csv_quoting},
      {"--no-header", reading.no_header ? "yes" : "no"}};
  all.insert(all.end(), job.asked.begin(), job.asked.end());
  return all;
}

Result<shards::Plan> read_plan(const shards::Folder& folder) {
  const std::string path = folder.at(shards::Folder::kPlan);
  BREAKEVEN_TRY(const MappedFile file, MappedFile::open(path));
  return shards::parse_plan(file.text(), path);
}

// The folder's plan; made where there is none, by whoever is first.
Result<shards::Plan> settle_plan(shards::Folder& folder, const ShardFlags& flags,
                                 const std::vector<data::SourceOptions>& files,
                                 const shards::Fingerprint& fingerprint) {
  BREAKEVEN_TRY(const std::uint64_t rows, parse_number("--shard-rows", flags.rows, 1, kMaxRows));
  BREAKEVEN_TRY(bool there, folder.has(shards::Folder::kPlan));
  if (!there) {
    BREAKEVEN_TRY(const shards::Plan made, shards::make_plan(files, rows, fingerprint));
    BREAKEVEN_TRY(const bool first, folder.put(shards::Folder::kPlan, shards::to_jsonl(made)));
    there = !first;
  }
  BREAKEVEN_TRY(shards::Plan plan, read_plan(folder));
  if (there) BREAKEVEN_TRY_VOID(shards::check_same(plan, fingerprint, files, folder.path()));
  return plan;
}

// Of texts: the other shards can still be done.
bool is_of_the_texts(const Error& error) {
  return error.code.starts_with("data/");
}

Result<void> run_share(ShardWorker& worker, const shards::Plan& plan, const Share& share) {
  std::uint64_t done = 0;
  std::uint64_t before = 0;
  std::uint64_t failed = 0;
  std::optional<Error> first_error;
  for (std::uint64_t shard = share.index; shard < plan.shards.size(); shard += share.of) {
    auto outcome = worker.run({.shard = shard});
    if (!outcome) {
      if (!is_of_the_texts(outcome.error())) return propagate(std::move(outcome));
      ++failed;
      tell(fmt::format("shard {}: {}", shard, outcome.error().to_string()));
      if (!first_error) first_error = std::move(outcome).error();
    } else if (*outcome == ShardWorker::Outcome::was_done) {
      ++before;
    } else {
      ++done;
    }
  }
  std::uint64_t checked = 0;
  for (std::uint64_t shard = 0; shard < plan.shards.size(); shard += kCheckEvery) {
    BREAKEVEN_TRY(const bool did, worker.check(shard));
    checked += did ? 1 : 0;
  }
  tell(fmt::format("share {}/{}: {} shards done, {} were done before{}", share.index, share.of,
                   done, before,
                   checked > 0 ? fmt::format(", {} compared with another device", checked) : ""));
  if (!first_error) return {};
  first_error->message = fmt::format("{} of this share's shards cannot be done, the first: {}",
                                     failed, first_error->message);
  return tl::unexpected<Error>(*std::move(first_error));
}

using Json = nlohmann::ordered_json;

Result<void> say(Output& out, const Json& json) {
  return out.write(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", 1);
}

// One request of stdin: "17", {"shard":17}, and in the object "check", "rows" of the job [from, to)
// to try out, "rejected" {"row": "why"}.
Result<Json> answer(ShardWorker& worker, const shards::Plan& plan, const std::string& line) {
  const JsonSource source{"a request", "flag/shard", "flag/shard", "give {\"shard\":17}"};
  const std::string object =
      line.find('{') == std::string::npos ? fmt::format("{{\"shard\":{}}}", line) : line;
  BREAKEVEN_TRY(const JsonDocument document, JsonDocument::parse(object, source));
  BREAKEVEN_TRY(const JsonObject json, document.object());
  ShardRequest request;
  BREAKEVEN_TRY(request.shard, json.count("shard", {0, plan.shards.size() - 1}));
  const shards::Shard& planned = plan.shards[request.shard];
  const JsonRange rows{planned.first_row, planned.first_row + planned.rows};
  Json told = {{"shard", request.shard}, {"rows", planned.rows}};
  BREAKEVEN_TRY(const bool check, json.boolean("check", false));
  if (check) {
    BREAKEVEN_TRY(const bool did, worker.check(request.shard));
    told["outcome"] = did ? "checked" : "nothing to check";
    return told;
  }
  if (json.find("rows")) {
    BREAKEVEN_TRY(const auto range, json.list("rows", {2, 2}));
    BREAKEVEN_TRY(const std::uint64_t from, json.as_count(range[0], "rows", rows));
    BREAKEVEN_TRY(const std::uint64_t to, json.as_count(range[1], "rows", {from + 1, rows.most}));
    BREAKEVEN_TRY_VOID(worker.probe(request.shard, from, to));
    told["outcome"] = "tried";
    return told;
  }
  if (json.find("rejected")) {
    BREAKEVEN_TRY(const JsonObject rejected, json.object("rejected"));
    for (const JsonField& field : rejected.fields()) {
      BREAKEVEN_TRY(std::string why, rejected.as_text(field.value, field.name));
      const auto row = breakeven::parse_number<std::uint64_t>(field.name);
      if (!row || *row < rows.least || *row >= rows.most) {
        return rejected.wrong(field.name, "a row of the shard");
      }
      request.rejected.emplace(*row, std::move(why));
    }
  }
  BREAKEVEN_TRY(const auto outcome, worker.run(request));
  told["outcome"] = outcome == ShardWorker::Outcome::was_done  ? "was done"
                    : outcome == ShardWorker::Outcome::adopted ? "adopted"
                                                               : "done";
  return told;
}

// Shards as a scheduler asks for them on stdin, an answer a line on stdout.
Result<void> serve_stdin(ShardWorker& worker, const shards::Plan& plan) {
  BREAKEVEN_TRY(Output out, Output::open("-", ""));
  BREAKEVEN_TRY_VOID(say(out, {{"ready", true},
                               {"device", decide::device_class(worker.setup().prototype)},
                               {"shards", plan.shards.size()},
                               {"rows", plan.rows()}}));
  for (std::string line; std::getline(std::cin, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Lap lap(monotonic_clock());
    auto told = answer(worker, plan, line);
    Json json = told ? *std::move(told)
                     : Json{{"error", told.error().code},
                            {"message", told.error().message},
                            {"hint", told.error().hint}};
    json["seconds"] = lap.seconds();
    const Result<void> said = say(out, json);
    if (!said && is_closed_pipe(said.error())) return {};
    BREAKEVEN_TRY_VOID(said);
  }
  return {};
}

// What one shard's files say; nothing: it has to be done (again).
Result<std::optional<record::Record>> finished_record(shards::Folder& folder,
                                                      const shards::Shard& planned,
                                                      std::uint64_t shard) {
  const std::string done = shards::Folder::done_name(shard);
  const std::string part = shards::Folder::part_name(shard);
  const auto take_away = [&](const std::string& why) -> std::optional<record::Record> {
    tell(fmt::format("shard {}: {}; it is taken away", shard, why));
    // In this order: a done file never tells of a part that is not there.
    folder.remove_aside(done);
    folder.remove_aside(part);
    return std::nullopt;
  };
  BREAKEVEN_TRY(const bool is_done, folder.has(done));
  BREAKEVEN_TRY(const bool has_part, folder.has(part));
  if (!has_part) {
    return is_done ? take_away(fmt::format("{} is missing", part)) : std::nullopt;
  }
  BREAKEVEN_TRY(const shards::Seen seen, folder.look(part));
  if (seen.lines != planned.rows) {
    return take_away(fmt::format("{} has {} lines, not {}", part, seen.lines, planned.rows));
  }
  if (!is_done) return std::optional<record::Record>();
  BREAKEVEN_TRY(const std::string text, read_file(folder.at(done)));
  auto record = record::parse_record(text);
  if (!record || !record->shard) {
    // The part may be whole; the next run writes the done file again.
    tell(fmt::format("shard {}: {} cannot be read; it is taken away", shard, done));
    folder.remove_aside(done);
    return std::optional<record::Record>();
  }
  if (record->shard->sha256 != seen.sha256) {
    return take_away(fmt::format("{} is not the part that was committed", part));
  }
  return std::optional(*std::move(record));
}

Result<void> finish_job(shards::Folder& folder, Context& context) {
  BREAKEVEN_TRY(const shards::Plan plan, read_plan(folder));
  std::vector<std::uint64_t> missing;
  std::uint64_t rejected = 0;
  Json parts = Json::array();
  for (std::uint64_t shard = 0; shard < plan.shards.size(); ++shard) {
    BREAKEVEN_TRY(const auto record, finished_record(folder, plan.shards[shard], shard));
    if (!record) {
      missing.push_back(shard);
      continue;
    }
    rejected += record->shard->rejected;
    parts.push_back({{"part", record->shard->part},
                     {"rows", record->shard->rows},
                     {"sha256", record->shard->sha256}});
  }
  if (!missing.empty()) {
    const std::size_t shown = std::min<std::size_t>(missing.size(), 20);
    tell(fmt::format(
        "{} of {} shards are not done: {}{}; run --shard again", missing.size(), plan.shards.size(),
        fmt::join(missing.begin(), missing.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
        missing.size() > shown ? " ..." : ""));
    context.exit_code = kResultSaysNo;
    return {};
  }
  BREAKEVEN_TRY(const auto asides, list_folder(folder.at(shards::Folder::kAside)));
  for (const auto& aside : asides) ::unlink(aside.c_str());
  const Json finished = {
      {"rows", plan.rows()}, {"rejected", rejected}, {"parts", std::move(parts)}};
  BREAKEVEN_TRY_VOID(
      write_file_atomic(folder.at(shards::Folder::kFinished), finished.dump(1) + "\n"));
  tell(fmt::format("{}: {} shards, {} texts, {} without a label; breakeven report {}",
                   folder.path(), plan.shards.size(), plan.rows(), rejected,
                   folder.at(shards::Folder::kDone)));
  return {};
}

}  // namespace

void add_shard_flags(CLI::App& command, ShardFlags& flags) {
  command.add_option("more", flags.more, "more files or patterns, of a job in shards");
  command.add_flag("--plan", flags.plan,
                   "cut the files into shards, write the plan to the folder --output and end");
  command.add_option("--shard", flags.shard,
                     "I/N: do the shards of task I of N (from 0) into the folder --output, all but "
                     "those that are done; -: those that stdin names");
  command.add_flag("--finish", flags.finish,
                   "check that all shards of --output are done and whole (exit 1: not yet)");
  command.add_option("--shard-rows", flags.rows, "texts a shard, of --plan [10000]");
}

Result<void> classify_shards(const ShardFlags& flags, ShardJob job, Context& context) {
  BREAKEVEN_TRY_VOID(check_shard_flags(flags, job.text));
  if (flags.finish) {
    if (!is_folder(job.text.output)) {
      return fail("file/missing", fmt::format("there is no folder {}", job.text.output),
                  "--plan makes it");
    }
    BREAKEVEN_TRY(shards::Folder folder, shards::Folder::open(job.text.output));
    return finish_job(folder, context);
  }
  Share share;
  if (!flags.plan) {
    BREAKEVEN_TRY(share, parse_share(flags.shard));
  }
  BREAKEVEN_TRY(const auto inputs, find_inputs(job.text.input, flags.more));
  BREAKEVEN_TRY(const auto files, source_options_of(inputs, job.text.reading));
  BREAKEVEN_TRY(const OpenModel open, open_model(job.text.model, job.options));
  job.form.function = job.function(open);
  BREAKEVEN_TRY(shards::Folder folder, shards::Folder::open(job.text.output));
  BREAKEVEN_TRY(const shards::Plan plan,
                settle_plan(folder, flags, files, fingerprint_of(job, open)));
  if (flags.plan) {
    tell(fmt::format("{}: {} texts in {}, {} in each", folder.at(shards::Folder::kPlan),
                     plan.rows(), counted(plan.shards.size(), "shard"), plan.rows_a_shard));
    return {};
  }
  BREAKEVEN_TRY(auto classifier, job.make(open));
  record::Record prototype = session::make_prototype(*open.model, classifier->info());
  prototype.command = context.command;
  ShardSetup setup{.form = job.form,
                   .batch = job.options.batch,
                   .limits = job.limits,
                   .problem = open.model->checkpoint.plan.problem,
                   .prototype = std::move(prototype)};
  ShardWorker worker(folder, plan, std::move(classifier), std::move(setup));
  return share.from_stdin ? serve_stdin(worker, plan) : run_share(worker, plan, share);
}

}  // namespace breakeven::cli
