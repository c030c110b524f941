// breakeven runtimes list | setup: the Python environments that run other engines.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/process.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "runtimes/environment.h"
#include "runtimes/pool.h"
#include "runtimes/setup.h"

namespace breakeven::cli {
namespace {

struct RuntimesFlags {
  std::vector<std::string> names;   // setup: which; none = all
  std::vector<std::string> python;  // NAME=PATH
};

std::string_view to_string(runtimes::EnvironmentState state) {
  switch (state) {
    case runtimes::EnvironmentState::ready:
      return "ready";
    case runtimes::EnvironmentState::missing:
      return "missing";
    case runtimes::EnvironmentState::outdated:
      return "outdated";
    case runtimes::EnvironmentState::incomplete:
      return "incomplete";
  }
  return "";
}

void print_status(const runtimes::EnvironmentStatus& status) {
  std::printf("%-12s %-11s", status.runtime.c_str(), std::string(to_string(status.state)).c_str());
  std::string line;
  for (const auto& [name, version] : status.packages) {
    line += fmt::format("{}{} {}", line.empty() ? "" : ", ", name, version);
  }
  std::printf("%s\n", line.empty() ? status.hint.c_str() : line.c_str());
  if (status.interpreter.empty()) return;
  std::printf("%24s%s (%s)\n", "", status.interpreter.c_str(), status.origin.c_str());
  if (!status.hint.empty()) std::printf("%24s%s\n", "", status.hint.c_str());
}

Result<void> list(const RuntimesFlags& flags, Context& context) {
  BREAKEVEN_TRY(const auto named, runtimes::parse_interpreters(flags.python));
  for (const std::string_view name : runtimes::known_runtimes()) {
    const auto status = runtimes::inspect_environment(std::string(name), named);
    if (status) {
      print_status(*status);
      continue;
    }
    std::printf("%-12s %-11s%s\n", std::string(name).c_str(), "broken",
                status.error().to_string().c_str());
    context.exit_code = kUsage;
  }
  if (std::fflush(stdout) != 0) return fail("file/unwritable", "cannot write to stdout");
  return {};
}

// One line that changes on a terminal; a line for every step in a pipe.
class SetupPrinter {
 public:
  explicit SetupPrinter(std::string runtime) : runtime_(std::move(runtime)) {}

  void show(std::string_view what) {
    const std::string line = fmt::format("{}: {}", runtime_, what);
    if (!status_.on_terminal()) std::fprintf(stderr, "%s\n", line.c_str());
    status_.show(line);
  }
  void keep(std::string_view line) {
    constexpr std::size_t kLines = 60;
    log_.push_back(printable(line));
    if (log_.size() > kLines) log_.pop_front();
  }
  void print_log() {
    status_.clear();
    for (const std::string& line : log_) std::fprintf(stderr, "  %s\n", line.c_str());
  }

 private:
  std::string runtime_;
  StatusLine status_;
  std::deque<std::string> log_;
};

Result<void> set_up_one(const std::string& name, const std::map<std::string, std::string>& named) {
  SetupPrinter printer(name);
  runtimes::SetupOptions options;
  if (const auto given = named.find(name); given != named.end()) options.python = given->second;
  options.stop = &stop_on_interrupt();
  options.progress = [&](std::string_view what) { printer.show(what); };
  options.log = [&](std::string_view line) { printer.keep(line); };
  const auto made = runtimes::set_up(name, options);
  if (!made) {
    printer.print_log();
    return tl::unexpected<Error>(made.error());
  }
  BREAKEVEN_TRY(const auto place, runtimes::environment_place(name));
  std::printf("%s: %s, %s\n", name.c_str(), *made ? "ready" : "was ready", place.venv.c_str());
  std::fflush(stdout);
  return {};
}

Result<void> set_up(const RuntimesFlags& flags, Context& context) {
  BREAKEVEN_TRY(const auto named, runtimes::parse_interpreters(flags.python));
  std::vector<std::string> names = flags.names;
  if (names.empty()) {
    for (const std::string_view name : runtimes::known_runtimes()) names.emplace_back(name);
  }
  for (const std::string& name : names) {  // a wrong name before anything is made
    BREAKEVEN_TRY_VOID(runtimes::environment_place(name));
  }
  for (const std::string& name : names) {
    const auto done = set_up_one(name, named);
    if (done) continue;
    report_error(context, done.error());
    if (done.error().code == "runtime/interrupted") break;
  }
  return {};
}

}  // namespace

void add_runtimes(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand(
      "runtimes", "Other engines to compare with: which are set up here, and set them up");
  command.require_subcommand(1);
  const auto flags = std::make_shared<RuntimesFlags>();
  command
      .add_option("--python", flags->python,
                  "NAME=PATH: list: the Python that runs this runtime; setup: the one that makes "
                  "its environment")
      ->take_all();
  CLI::App& listing = *command.add_subcommand("list", "Which are there, their versions, and where");
  listing.fallthrough();
  listing.callback([flags, &context] { finish(context, list(*flags, context)); });
  CLI::App& setup = *command.add_subcommand(
      "setup", "Install runtimes, each into an environment of its own in the cache folder");
  setup.fallthrough();
  setup.add_option("NAME", flags->names, "pytorch, onnxruntime, openvino, ctranslate2; none = all");
  setup.callback([flags, &context] { finish(context, set_up(*flags, context)); });
}

}  // namespace breakeven::cli
