// The program: registers the subcommands, turns every outcome into one of the exit codes of
// cli/commands.h.
#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <new>
#include <string>

#include "base/memory.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace breakeven::cli {

void report_error(Context& context, const Error& error) {
  tell(error.to_string());
  context.exit_code = kUsage;
}

namespace {

constexpr const char* kEmpty = "the value is empty; give one or leave the flag out";

// `--model ""`, as a script writes it whose variable is not set, is a mistake and not the default.
void refuse_empty_values(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    option->check([](const std::string& value) { return value.empty() ? kEmpty : ""; });
  }
  for (CLI::App* command : app.get_subcommands({})) refuse_empty_values(*command);
}

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
  add_rerank(app, context);
  add_tokenize(app, context);
  add_serve(app, context);
  add_load(app, context);
  add_info(app, context);
  add_fetch(app, context);
  add_runtimes(app, context);
  add_cell(app, context);
  refuse_empty_values(app);
  try {
    for (const std::string& word : context.command) {
      // CLI11 would take the next word for the value of `--model=`.
      const bool empty = word.starts_with("--") && word.find('=') + 1 == word.size();
      if (empty) throw CLI::ValidationError(word.substr(0, word.size() - 1), kEmpty);
    }
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
    breakeven::cli::tell("out of memory: " + breakeven::memory_left().to_string() +
                         "; try a smaller --batch or --max-length");
  } catch (const std::exception& error) {
    breakeven::cli::tell(std::string("internal error: ") + error.what());
  }
  return breakeven::cli::kUsage;
}
