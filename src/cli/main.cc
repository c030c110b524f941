// The program: registers the subcommands, turns every outcome into one of the exit codes of
// cli/commands.h.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "cli/commands.h"
#include "cli/output.h"

namespace breakeven::cli {

void report_error(Context& context, const Error& error) {
  tell(error.to_string());
  context.exit_code = kUsage;
}

namespace {

int run_program(int argc, char** argv) {
  // A reader that went away (`breakeven ... | head`) shows as a failed write, which the writers
  // handle.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app(
      "Where does the GPU start to pay? Measures a text classifier on CPU and GPU, text to label.",
      "breakeven");
  app.set_version_flag("--version", "breakeven " BREAKEVEN_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  Context context;
  context.command.assign(argv, argv + argc);
  add_run(app, context);
  add_scale(app, context);
  add_report(app, context);
  add_advise(app, context);
  add_compare(app, context);
  add_classify(app, context);
  add_tokenize(app, context);
  add_info(app, context);
  add_fetch(app, context);
  add_runtimes(app, context);
  add_cell(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has a code of its own for each kind of mistake; to our users all of them are "usage".
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  return context.exit_code;
}

}  // namespace
}  // namespace breakeven::cli

int main(int argc, char** argv) {
  try {
    return breakeven::cli::run_program(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "breakeven: out of memory; try a smaller --batch or --max-length\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "breakeven: internal error: %s\n", error.what());
  }
  return breakeven::cli::kUsage;
}
