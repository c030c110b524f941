// The subcommands. Each file of this folder adds one to the app and runs it in its callback;
// main.cc owns the rest.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace breakeven::cli {

// Exit codes, the same everywhere.
inline constexpr int kOk = 0;
inline constexpr int kResultSaysNo = 1;
inline constexpr int kUsage = 2;  // usage, input or environment
inline constexpr int kCannotTell = 3;

struct Context {
  std::vector<std::string> command;  // as typed
  int exit_code = kOk;               // what a subcommand's callback leaves
};

// Prints "breakeven: message; hint" to stderr and sets the exit code to kUsage.
void report_error(Context& context, const Error& error);
// What a subcommand's callback does with the end of its run.
inline void finish(Context& context, const Result<void>& run) {
  if (!run) report_error(context, run.error());
}

void add_run(CLI::App& app, Context& context);
void add_scale(CLI::App& app, Context& context);
void add_classify(CLI::App& app, Context& context);
void add_rerank(CLI::App& app, Context& context);
void add_load(CLI::App& app, Context& context);
void add_serve(CLI::App& app, Context& context);
void add_tokenize(CLI::App& app, Context& context);
void add_info(CLI::App& app, Context& context);
void add_fetch(CLI::App& app, Context& context);
void add_report(CLI::App& app, Context& context);
void add_runtimes(CLI::App& app, Context& context);
void add_advise(CLI::App& app, Context& context);
void add_compare(CLI::App& app, Context& context);
void add_cell(CLI::App& app, Context& context);  // hidden: one cell in a fresh process

}  // namespace breakeven::cli
