#include "cli/against.h"

#include <fmt/format.h>
#include <stdlib.h>  // mkdtemp, which <cstdlib> does not promise

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/clock.h"
#include "base/process.h"
#include "base/units.h"
#include "cli/comparison.h"
#include "cli/given_options.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/quantities.h"
#include "cli/text_options.h"
#include "record/journal.h"
#include "study/turns.h"

namespace breakeven::cli {
namespace {

constexpr const char* kOurselves = "/proc/self/exe";

// A folder that is gone when this is.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::error_code error;
    std::string name = (std::filesystem::temp_directory_path(error) / "breakeven-XXXXXX").string();
    if (!error && ::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Ran {
  std::string out, last_error, ending;
  bool well = false;
};

Result<Ran> run_program(const std::string& program, const std::vector<std::string>& arguments,
                        double limit_s) {
  BREAKEVEN_TRY(const std::unique_ptr<Process> process, Process::start({program, arguments}));
  Ran ran;
  const AskEnd end = process->ask(
      "", Until::end, {monotonic_clock().now_s() + limit_s, &stop_on_interrupt()}, ran.out);
  if (end == AskEnd::interrupted) process->wait_for_end({monotonic_clock().now_s() + 60, nullptr});
  process->kill();
  ran.well = process->ended_well();
  ran.ending = end == AskEnd::time_limit ? fmt::format("did not end within {:.0f} s", limit_s)
                                         : process->ending();
  ran.last_error = process->last_error();
  return ran;
}

class Against {
 public:
  Against(const AgainstFlags& flags, const StudyFlags& study, const CLI::App& command,
          Context& context)
      : flags_(flags), study_(study), command_(command), context_(context) {}
  Result<void> run();

 private:
  struct Side {
    std::string program, name;
    const char* stem;  // of its files in the temporary folder
    std::vector<std::vector<record::Record>> blocks{};
  };

  Result<void> check_flags();
  Result<void> check_other();
  Result<void> take_turn(Side& side, std::size_t turn);
  Result<std::vector<record::Record>> keep(const Side& side, record::Journal journal) const;

  const AgainstFlags& flags_;
  const StudyFlags& study_;
  const CLI::App& command_;
  Context& context_;
  TemporaryFolder folder_;
  std::vector<std::string> arguments_;
  std::uint64_t turns_ = 4;
  std::string turns_name_;  // the same on both sides, and on no other run's
  double block_s_ = 0;
  ComparisonOutput how_;
};

Result<void> Against::check_flags() {
  const bool resumes = !study_.resume.empty();
  if (resumes || study_.texts == "-") {
    return fail("flag/against",
                fmt::format("--against does not go with {}", resumes ? "--resume" : "--texts -"),
                "both sides start from the beginning, more than once");
  }
  constexpr std::uint64_t kMostTurns = 1000;
  if (!flags_.turns.empty()) {
    BREAKEVEN_TRY(turns_, parse_number("--turns", flags_.turns, 2, kMostTurns));
  }
  if (!flags_.minimum_effect.empty()) {
    BREAKEVEN_TRY(how_.options.minimum_effect,
                  parse_percent("--minimum-effect", flags_.minimum_effect));
  }
  how_.output = study_.output;
  BREAKEVEN_TRY(how_.format, parse_document_format(study_.format));
  BREAKEVEN_TRY_VOID(check_output(study_.output));
  BREAKEVEN_TRY(const double time_s, parse_duration(study_.time));
  block_s_ = time_s / (2 * static_cast<double>(turns_));
  if (folder_.path().empty()) {
    return fail("file/unwritable", "no temporary folder can be made", "set $TMPDIR to a folder");
  }
  return {};
}

Result<void> Against::check_other() {
  constexpr double kLimit_s = 30;
  const char* hint = "give the path of another build's program";
  auto version = run_program(flags_.other, {"--version"}, kLimit_s);
  if (!version) {
    return fail("against/program",
                fmt::format("'{}' cannot be run: {}", flags_.other, version.error().message), hint);
  }
  if (!version->well || !version->out.starts_with("breakeven ")) {
    return fail("against/program",
                fmt::format("'{}' is no breakeven: asked for its version it {} and said '{}'",
                            flags_.other, version->ending, printable(version->out, 60)),
                hint);
  }
  // It must know every flag that ours knows.
  std::vector<std::string> dry = arguments_;
  dry.emplace_back("--dry-run");
  BREAKEVEN_TRY(const Ran planned, run_program(flags_.other, dry, 10 * kLimit_s));
  if (planned.well || stop_on_interrupt()) return {};
  return fail("against/failed",
              fmt::format("'{}' does not take these flags: it {}; the last line of its stderr: {}",
                          flags_.other, planned.ending, planned.last_error));
}

Result<void> Against::take_turn(Side& side, std::size_t turn) {
  tell(fmt::format("turn {} of {}: {}", turn + 1, turns_, side.name));
  const std::string stem = fmt::format("{}/{}-{}", folder_.path(), side.stem, turn);
  std::vector<std::string> arguments = arguments_;
  for (const std::string& word :
       {std::string("--no-memory"), std::string("--time"), fmt::format("{:.3f}s", block_s_),
        std::string("--journal"), stem + ".jsonl", std::string("-o"), stem + ".txt"}) {
    arguments.push_back(word);
  }
  constexpr double kPreparing_s = 1800;
  BREAKEVEN_TRY(const Ran ran, run_program(side.program, arguments, kPreparing_s + 4 * block_s_));
  if (stop_on_interrupt()) return {};
  // Exit codes 1 and 3 are findings; without records nothing was measured.
  auto journal = record::read_journal(stem + ".jsonl");
  if (!journal && journal.error().code == "record/schema") {
    return fail(
        "against/schema",
        fmt::format("{} writes records of another schema: {}", side.name, journal.error().message),
        "compare builds of the same schema version");
  }
  if (!journal || journal->records.empty()) {
    return fail("against/failed",
                fmt::format("{} measured nothing: it {}; the last line of its stderr: {}",
                            side.name, ran.ending, ran.last_error));
  }
  for (const record::Record& record : journal->records) {
    if (record.schema_version == record::kSchemaVersion) continue;
    return fail("against/schema",
                fmt::format("{} writes records of schema {}, this build of schema {}", side.name,
                            record.schema_version, record::kSchemaVersion),
                "compare builds of the same schema version");
  }
  side.blocks.push_back(std::move(journal->records));
  return {};
}

Result<std::vector<record::Record>> Against::keep(const Side& side, record::Journal journal) const {
  std::vector<record::Record> merged = study::merge_turns(side.blocks);
  for (record::Record& record : merged) {
    record.runtime_settings[std::string(decide::kTurnsSetting)] = turns_name_;
  }
  for (const record::Record& record : merged) BREAKEVEN_TRY_VOID(journal.append(record));
  return merged;
}

Result<void> Against::run() {
  BREAKEVEN_TRY_VOID(check_flags());
  // Each side gets these of its own, or not at all; every other flag goes to both.
  arguments_ =
      given_options(command_, {"--against", "--turns", "--minimum-effect", "--time", "--journal",
                               "--format", "--output", "--html", "--no-memory"});
  arguments_.insert(arguments_.begin(), command_.get_name());
  if (study_.count.empty()) {
    // Another build might choose other texts, or others for a turn's share of the time.
    BREAKEVEN_TRY(const std::size_t texts, fewest_texts(study_));
    arguments_.insert(arguments_.end(), {"--count", std::to_string(texts)});
  }
  BREAKEVEN_TRY_VOID(check_other());
  Side other{flags_.other, "the other build (" + flags_.other + ")", "other"};
  Side ours{kOurselves, "this build", "ours"};
  const std::vector<bool> order = study::turn_order(turns_, study_.seed);
  for (std::size_t turn = 0; turn < turns_ && !stop_on_interrupt(); ++turn) {
    BREAKEVEN_TRY_VOID(take_turn(order[turn] ? other : ours, turn));
    if (!stop_on_interrupt()) BREAKEVEN_TRY_VOID(take_turn(order[turn] ? ours : other, turn));
  }
  if (ours.blocks.empty() || other.blocks.empty() || stop_on_interrupt()) {
    tell("interrupted: nothing is compared");
    context_.exit_code = kCannotTell;
    return {};
  }
  BREAKEVEN_TRY(record::Journal journal, open_journal(study_.journal));
  const std::string path = journal.path();
  const bool has_end = path.ends_with(".jsonl");
  const std::string other_path =
      (has_end ? path.substr(0, path.size() - 6) : path) + ".against.jsonl";
  turns_name_ = fmt::format("{}, from {}", turns_, other.blocks.front().front().run_id);
  BREAKEVEN_TRY(record::Journal other_journal, record::Journal::open(other_path));
  BREAKEVEN_TRY(const auto before, keep(other, std::move(other_journal)));
  BREAKEVEN_TRY(const auto after, keep(ours, std::move(journal)));
  BREAKEVEN_TRY_VOID(write_comparison(before, after, how_, context_));
  tell(fmt::format("before: {} in {}; after: this build in {}", flags_.other, other_path, path));
  return {};
}

}  // namespace

void add_against_flags(CLI::App& command, AgainstFlags& flags) {
  command.add_option("--against", flags.other,
                     "Another build's program: both are measured in turns and compared");
  command.add_option("--turns", flags.turns,
                     "With --against: how often each is measured (default: 4)");
  command.add_option("--minimum-effect", flags.minimum_effect,
                     "With --against: smaller changes are called the same (default: 3%)");
}

Result<void> run_against(const AgainstFlags& against, const StudyFlags& study,
                         const CLI::App& command, Context& context) {
  (void)stop_on_interrupt();
  return Against(against, study, command, context).run();
}

}  // namespace breakeven::cli
