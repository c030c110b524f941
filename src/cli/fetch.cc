// breakeven fetch NAME | imdb: downloads a model or the data set. What it says goes to stderr; the
// folder or file stands alone on stdout, so that a script can take it.
#include "hub/fetch.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "engine/load.h"
#include "model/architectures/architecture.h"

namespace breakeven::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct FetchOptions {
  std::string name;
  std::string revision = "main";
  bool anyway = false;
};

// A bar that moves on a terminal; one line a file in a pipe.
class ProgressPrinter {
 public:
  void show(const hub::Event& event) {
    using Kind = hub::Event::Kind;
    switch (event.kind) {
      case Kind::progress:
        draw(event);
        return;
      case Kind::checking:
        status_.show(fmt::format("{}  checking", event.file));
        return;
      case Kind::present:
        line(fmt::format("{}: already there{}", event.file, size_text(event)));
        return;
      case Kind::done:
        line(fmt::format("{}: fetched{}", event.file, size_text(event)));
        return;
      case Kind::waiting:
        line(fmt::format("{}: waiting for another process that fetches it", event.file));
        return;
      case Kind::retrying:
        line(fmt::format("{}; trying again", event.note));
        return;
    }
  }

  void clear() { status_.clear(); }
  void line(const std::string& text) {
    status_.clear();
    std::fprintf(stderr, "%s\n", text.c_str());
  }

 private:
  static std::string size_text(const hub::Event& event) {
    if (!event.total_bytes) return "";
    return fmt::format(" ({})", format_bytes(static_cast<double>(*event.total_bytes)));
  }

  void draw(const hub::Event& event) {
    if (!status_.on_terminal()) return;
    const Clock::time_point now = Clock::now();
    if (event.file != file_) {
      file_ = event.file;
      started_ = now;
      first_bytes_ = event.done_bytes;
    } else if (now - drawn_ < std::chrono::milliseconds(100)) {
      return;
    }
    drawn_ = now;
    const auto done = static_cast<double>(event.done_bytes);
    const double seconds = std::chrono::duration<double>(now - started_).count();
    const double bytes_per_s =
        seconds > 0.5 ? (done - static_cast<double>(first_bytes_)) / seconds : 0;
    std::string text = event.file;
    if (event.total_bytes && *event.total_bytes > 0) {
      constexpr int kCells = 24;
      const auto total = static_cast<double>(*event.total_bytes);
      const int full = std::clamp(static_cast<int>(kCells * done / total), 0, kCells);
      text += fmt::format("  [{:#<{}}{:-<{}}]  {} of {}", "", full, "", kCells - full,
                          format_bytes(done), format_bytes(total));
      if (bytes_per_s > 0) {
        text += fmt::format("  {}/s  {} left", format_bytes(bytes_per_s),
                            format_seconds((total - done) / bytes_per_s));
      }
    } else {
      text += fmt::format("  {}", format_bytes(done));
    }
    status_.show(std::move(text));
  }

  StatusLine status_;
  std::string file_;
  Clock::time_point started_, drawn_;
  std::uint64_t first_bytes_ = 0;
};

Result<std::string> fetch_imdb(const hub::Settings& settings, ProgressPrinter& printer) {
  BREAKEVEN_TRY(const std::string path, hub::imdb_archive_path());
  const hub::Archive archive =
      hub::imdb_archive([](const char* variable) { return std::getenv(variable); });
  BREAKEVEN_TRY_VOID(hub::fetch_archive(archive, path, settings,
                                        [&](const hub::Event& event) { printer.show(event); }));
  printer.line("size and SHA-256 are as published; use it with --texts imdb");
  return path;
}

// What config.json says that Transformers should load.
struct NamedClasses {
  std::string first;       // in "architectures"; "" = it names none
  std::string classifier;  // the first that classifies sequences
  bool own_code = false;   // Python beside the weights, which nobody here runs
};

Result<NamedClasses> named_classes(const std::string& folder) {
  const std::string path = folder + "/config.json";
  BREAKEVEN_TRY(const std::string text, read_file(path));
  BREAKEVEN_TRY(const JsonDocument document,
                JsonDocument::parse(
                    text, {path, "config/json", "config/field",
                           "it is no Transformers model: choose another", JsonDialect::python}));
  BREAKEVEN_TRY(const JsonObject config, document.object());
  NamedClasses classes;
  classes.own_code = config.find("auto_map").has_value();
  if (!config.find("architectures")) return classes;
  BREAKEVEN_TRY(const auto names, config.list("architectures"));
  for (const JsonValue& each : names) {
    BREAKEVEN_TRY(std::string name, config.as_text(each, "architectures"));
    if (classes.first.empty()) classes.first = name;
    if (classes.classifier.empty() && name.ends_with("ForSequenceClassification")) {
      classes.classifier = std::move(name);
    }
  }
  return classes;
}

// Told while only config and tokenizer are there: a weights file is a long wait for a refusal.
// Errors: those of named_classes; fetch/nothing-runs-it.
Result<void> say_who_runs(const FetchOptions& options, const std::string& folder,
                          ProgressPrinter& printer) {
  BREAKEVEN_TRY(const NamedClasses classes, named_classes(folder));
  const auto plan = engine::plan_without_weights(folder);
  if (plan && (classes.first.empty() || !classes.classifier.empty())) {
    printer.line(fmt::format("{}: runs natively, {} with {} labels", options.name,
                             plan->architecture->class_name, plan->labels.size()));
    return {};
  }
  const std::string why =
      plan ? fmt::format("config.json names {}, which has no classifier's head", classes.first)
           : plan.error().message;
  if (!classes.classifier.empty() && !classes.own_code) {
    printer.line(fmt::format("{}: does not run natively: {}", options.name, why));
    printer.line(fmt::format("{}: --runtime pytorch runs it if Transformers has {}", options.name,
                             classes.classifier));
    return {};
  }
  if (options.anyway) {
    printer.line(fmt::format("{}: nothing here runs it: {}", options.name, why));
    return {};
  }
  return fail("fetch/nothing-runs-it", fmt::format("nothing here runs {}: {}", options.name, why),
              "choose another model; --anyway brings its weights all the same");
}

Result<std::string> fetch_model(const FetchOptions& options, const hub::Settings& settings,
                                ProgressPrinter& printer) {
  BREAKEVEN_TRY(
      const hub::FetchedModel fetched,
      hub::fetch_model(
          options.name, options.revision, settings,
          [&](const hub::Event& event) { printer.show(event); },
          [&](const std::string& folder) { return say_who_runs(options, folder, printer); }));
  for (const std::string& file : fetched.unchecked) {
    printer.line(fmt::format("{}: only its size was checked, the server gives no digest", file));
  }
  printer.line(fmt::format("{} is complete; use it with --model {}", options.name,
                           options.revision == "main" ? options.name : fetched.folder));
  return fetched.folder;
}

void run_fetch(const FetchOptions& options, Context& context) {
  auto settings = hub::settings_from_environment();
  if (!settings) return report_error(context, settings.error());
  ProgressPrinter printer;
  auto place = options.name == "imdb" ? fetch_imdb(*settings, printer)
                                      : fetch_model(options, *settings, printer);
  if (!place) {
    printer.clear();
    return report_error(context, place.error());
  }
  std::printf("%s\n", place->c_str());
}

}  // namespace

void add_fetch(CLI::App& app, Context& context) {
  auto options = std::make_shared<FetchOptions>();
  CLI::App* command = app.add_subcommand(
      "fetch", "Download a model into the Hugging Face cache, or the IMDB reviews (imdb)");
  command
      ->add_option("name", options->name,
                   "NAME or ORGANISATION/NAME of a model on the Hugging Face hub, or imdb")
      ->required();
  command
      ->add_option("--revision", options->revision,
                   "Branch, tag, commit or pull request (refs/pr/1) of the model")
      ->capture_default_str();
  command->add_flag("--anyway", options->anyway,
                    "Bring the weights of a model that nothing here runs, too");
  command->footer(
      "Environment: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and\n"
      "HF_HUB_DOWNLOAD_TIMEOUT as in huggingface_hub; https_proxy; BREAKEVEN_IMDB_URL names a\n"
      "mirror of the IMDB archive, which has to be the same file.");
  command->callback([options, &context] { run_fetch(*options, context); });
}

}  // namespace breakeven::cli
