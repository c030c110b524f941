// breakeven load: the highest rate at which a server of labels keeps a limit, over HTTP.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "base/files.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/journals.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/quantities.h"
#include "cli/study_flags.h"
#include "cli/text_options.h"
#include "engine/native.h"
#include "load/server.h"
#include "load/study.h"
#include "measure/environment.h"
#include "measure/paced.h"
#include "measure/paced_limit.h"
#include "measure/thresholds.h"
#include "report/report.h"
#include "session/study_input.h"
#include "study/judging.h"

namespace breakeven::cli {
namespace {

struct LoadFlags {
  std::string url, interface, slo, rate, arrivals = "poisson", trace, timeout, connections = "keep";
  std::string key_file, count = "128", time = "3m", format = "table", output, journal;
  std::vector<std::string> headers;
  std::string texts = "builtin", split = "test", device, precision, model, max_length;
  ReadingFlags reading;
  std::uint64_t seed = 1;
};

// What --model says of the server's model, and its labels in fp32 on this CPU, before anything is
// measured.
Result<load::Server::Judge> judge_of(const LoadFlags& flags, std::span<const Text> texts,
                                     const data::ReviewSet& reviews,
                                     std::optional<std::uint64_t> told_length) {
  constexpr std::size_t kBatch = 8;
  TextFlags same;  // the same flags, understood in the same way
  same.device = "cpu";
  same.max_length = flags.max_length;
  BREAKEVEN_TRY(TextOptions options, check_text_flags(same));
  if (told_length) options.asked_length = told_length;
  BREAKEVEN_TRY(OpenModel open, open_model(flags.model, options));
  open.setup.batch = kBatch;
  tell(fmt::format("{} texts are labelled by {} here, to compare", reviews.reviews.size(),
                   open.model->name));
  BREAKEVEN_TRY(const auto classifier, engine::make_native(open.model, {.setup = open.setup}));
  BREAKEVEN_TRY(const measure::Samples answers, measure::answer_all(*classifier, texts, kBatch));
  load::Server::Judge judge;
  judge.facts = session::make_prototype(*open.model);
  judge.name = study::kNativeJudge;
  judge.all = open.model->checkpoint.plan.labels;
  judge.tokens = answers.tokens;
  for (const std::uint32_t label : answers.labels) judge.labels.push_back(judge.all[label]);
  return judge;
}

// "p99=50ms" or "50ms".
Result<double> parse_slo(const std::string& text) {
  constexpr std::string_view kName = "p99=";
  auto limit = parse_latency("--slo", text.starts_with(kName) ? text.substr(kName.size()) : text);
  if (limit) return *limit;
  return fail("flag/quantity", fmt::format("--slo '{}' is no limit on the p99", text),
              "write for example --slo p99=50ms");
}

Result<void> read_times(const LoadFlags& flags, load::StudyOptions& study,
                        load::ServerOptions& server) {
  BREAKEVEN_TRY(study.time_s, parse_duration(flags.time));
  if (!flags.slo.empty()) {
    BREAKEVEN_TRY(study.p99_limit_s, parse_slo(flags.slo));
  }
  if (!flags.trace.empty()) {
    BREAKEVEN_TRY(study.trace, load::read_trace(flags.trace));
    study.arrivals = Arrivals::trace;
  } else {
    BREAKEVEN_TRY(study.arrivals, parse_arrivals(flags.arrivals));
  }
  if (!flags.rate.empty()) {
    BREAKEVEN_TRY(study.rates, parse_rates(flags.rate));
  } else if (flags.slo.empty() && !flags.trace.empty()) {
    study.rates = {study.trace.rate_per_s()};  // as it was
  }
  if ((study.p99_limit_s > 0) == !study.rates.empty()) {
    return fail("flag/slo",
                study.rates.empty() ? "what is to be found out is not said"
                                    : fmt::format("--slo {} and --rate {} exclude each other",
                                                  flags.slo, flags.rate),
                "give --slo p99=50ms, which searches the highest rate that keeps it, or --rate "
                "10,100");
  }
  // Long enough that a late answer is told from none, short enough that a window ends.
  constexpr double kLimits = 10, kLeast_s = 2;
  server.timeout_s =
      study.p99_limit_s > 0 ? std::max(kLeast_s, kLimits * study.p99_limit_s) : 5 * kLeast_s;
  if (!flags.timeout.empty()) {
    BREAKEVEN_TRY(server.timeout_s, parse_latency("--timeout", flags.timeout));
  }
  if (server.timeout_s <= 2 * study.p99_limit_s) {
    return fail(
        "flag/quantity",
        fmt::format("--timeout {} is not twice the limit of --slo {}", flags.timeout, flags.slo),
        "requests that fail count as that long: give it longer");
  }
  return {};
}

Result<std::string> read_fields(const LoadFlags& flags) {
  std::string fields;
  for (const std::string& header : flags.headers) {
    const std::size_t colon = header.find(':');
    const bool clean = std::all_of(header.begin(), header.end(), [](char c) {
      return c == '\t' || static_cast<unsigned char>(c) >= ' ';
    });
    if (colon == 0 || colon == std::string::npos || !clean) {
      return fail("flag/header", fmt::format("--header '{}' is no field", header),
                  "write it as \"Name: value\"");
    }
    fields += header + "\r\n";
  }
  if (flags.key_file.empty()) return fields;
  BREAKEVEN_TRY(const std::string key, read_key(flags.key_file));
  return fields + "Authorization: Bearer " + key + "\r\n";
}

Result<load::ServerOptions> server_options(const LoadFlags& flags) {
  load::ServerOptions options;
  BREAKEVEN_TRY(options.url, load::parse_url(flags.url));
  if (!flags.interface.empty()) {
    BREAKEVEN_TRY(const auto chosen,
                  parse_choices<load::Interface>("--interface", flags.interface));
    options.interface = chosen.front();
  }
  BREAKEVEN_TRY(options.fields, read_fields(flags));
  if (flags.connections != "keep" && flags.connections != "new") {
    return fail("flag/choice", fmt::format("--connections '{}' is not known", flags.connections),
                "give keep, or new: one for each request");
  }
  options.keep_alive = flags.connections == "keep";
  if (!flags.device.empty()) {
    BREAKEVEN_TRY(options.device, parse_device(flags.device));
  }
  if (!flags.precision.empty()) {
    BREAKEVEN_TRY(const auto chosen, parse_choices<Precision>("--precision", flags.precision));
    options.precision = chosen.front();
  }
  if (!flags.max_length.empty()) {
    BREAKEVEN_TRY(options.max_length,
                  parse_number("--max-length", flags.max_length, 1, kMaxLength));
  }
  options.stop = &stop_on_interrupt();
  return options;
}

// "highest proven rate: 87.1/s keeps p99 = 50.0 ms in 3 windows; [87.1, 92.0)/s".
std::string proven_text(const measure::Proven& proven, double limit_s) {
  const std::string limit = format_seconds(limit_s);
  const std::string missed =
      proven.missed_per_s > 0 ? three_digits(proven.missed_per_s) : "not missed";
  if (proven.kept_per_s <= 0) {
    return fmt::format("no rate is proven to keep p99 within {} (lowest that misses it: {})", limit,
                       proven.missed_per_s > 0 ? missed + "/s" : "none");
  }
  return fmt::format("highest proven rate within p99 {}: {}/s in {}; [{}, {})/s", limit,
                     three_digits(proven.kept_per_s),
                     counted(static_cast<std::uint64_t>(proven.times), "window"),
                     three_digits(proven.kept_per_s), missed);
}

std::string calibration_text(const load::Server& server) {
  const record::Http& http = server.http();
  std::string text = fmt::format("{} by {}: it answers {}/s when texts always wait", http.url,
                                 http.interface, three_digits(server.most_per_s()));
  if (!http.null_per_s) return text + "; it has no null reply to calibrate with";
  text += fmt::format("; null replies: {}/s", three_digits(*http.null_per_s));
  if (!http.null_s_p99) return text;
  return text + fmt::format(", p50 {}, p99 {}, {} of CPU each here",
                            format_seconds(*http.null_s_p50), format_seconds(*http.null_s_p99),
                            format_seconds(*http.client_cpu_s));
}

int exit_code_of(const load::StudyOutcome& outcome, const measure::Proven& proven, double limit_s) {
  if (outcome.interrupted || outcome.records.empty()) return kCannotTell;
  const bool any = std::any_of(outcome.records.begin(), outcome.records.end(),
                               [](const auto& record) { return !measure::is_invalid(record); });
  if (!any) return kCannotTell;
  if (limit_s <= 0) return kOk;
  if (proven.kept_per_s > 0) return kOk;
  // The answer is no where every rate that was tried misses it.
  const bool all_miss = std::all_of(
      outcome.records.begin(), outcome.records.end(), [&](const record::Record& record) {
        return proven.missed_per_s > 0 && record.cell.rate_per_s >= proven.missed_per_s;
      });
  return all_miss ? kResultSaysNo : kCannotTell;
}

Result<void> run_load(const LoadFlags& flags, Context& context) {
  load::StudyOptions study;
  BREAKEVEN_TRY(load::ServerOptions options, server_options(flags));
  BREAKEVEN_TRY_VOID(read_times(flags, study, options));
  options.p99_limit_s = study.p99_limit_s;
  report::RenderOptions render;
  BREAKEVEN_TRY(render.format, report::parse_format(flags.format));
  render.colour = use_colour(flags.output);
  render.all = render.format != report::Format::table;
  BREAKEVEN_TRY_VOID(check_output(flags.output));
  constexpr std::uint64_t kMaxTexts = 1'000'000;
  BREAKEVEN_TRY(const std::uint64_t count, parse_number("--count", flags.count, 1, kMaxTexts));
  BREAKEVEN_TRY(data::SourceOptions source, source_options(flags.texts, flags.reading));
  source.label_field.clear();
  source.split = flags.split;
  source.seed = flags.seed;
  BREAKEVEN_TRY(const data::ReviewSet reviews, session::read_texts(source, count));
  study::Input input;
  session::set_texts(input, reviews, count);
  study.seed = flags.seed;
  study.text_count = input.texts.size();
  study.stop = options.stop;

  const double begin_s = monotonic_clock().now_s();
  BREAKEVEN_TRY(const auto server, load::Server::meet(options));
  record::Record& known = server->prototype;
  known.texts = input.prototype.texts;
  known.command = context.command;
  known.run_id = session::make_run_id();
  // Before anything is measured.
  BREAKEVEN_TRY(record::Journal journal, open_journal(flags.journal));
  std::optional<load::Server::Judge> judge;
  if (!flags.model.empty()) {
    // Our own server says where it cuts.
    BREAKEVEN_TRY(judge, judge_of(flags, input.texts, reviews, server->told_max_length()));
  }
  BREAKEVEN_TRY_VOID(server->warm_up(input.texts, 0.1 * study.time_s));
  if (judge) {
    BREAKEVEN_TRY_VOID(server->compare(*judge));
    const record::Parity& parity = *known.parity;
    tell(fmt::format("{} of {} labels are not those of {} in fp32: {}", parity.flips, parity.texts,
                     known.model_name, to_string(parity.outcome)));
  }
  constexpr double kCalibration_s = 3;
  BREAKEVEN_TRY_VOID(server->calibrate(std::min(kCalibration_s, 0.1 * study.time_s)));
  tell(calibration_text(*server));
  study.most_per_s = server->most_per_s();
  study.time_s -= monotonic_clock().now_s() - begin_s;

  ProgressLine progress;
  load::StudyTools tools;
  tools.play = [&](const load::Schedule& schedule, double rate_per_s, double most_per_s) {
    return server->window(schedule, rate_per_s, study.arrivals, most_per_s);
  };
  tools.keep = [&](const record::Record& record) { return journal.append(record); };
  tools.progress = [&](const std::string& what, double done) {
    progress.update(what, std::min(1.0, done), std::max(0.0, (1 - done) * study.time_s));
  };
  auto outcome = load::run_study(study, tools);
  progress.clear();
  if (!outcome) {
    tell(fmt::format("windows that ended before are in {}", journal.path()));
    return propagate(std::move(outcome));
  }
  if (!outcome->records.empty()) {
    render.first.time_s = study.time_s;
    render.first.journal = journal.path();
    BREAKEVEN_TRY(const std::string text, report::render(outcome->records, render));
    BREAKEVEN_TRY_VOID(write_output(flags.output, text));
  }
  for (const std::string& note : outcome->notes) tell(note);
  measure::Proven proven;
  if (study.p99_limit_s > 0) {
    proven = measure::proven_rate(outcome->records, study.p99_limit_s);
    tell(proven_text(proven, study.p99_limit_s));
  }
  if (outcome->interrupted) tell("interrupted: what is above is of the windows that ended");
  tell(fmt::format("every request is in {}", journal.path()));
  context.exit_code = exit_code_of(*outcome, proven, study.p99_limit_s);
  return {};
}

}  // namespace

void add_load(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand(
      "load", "Finds the highest rate at which a server keeps a limit, over HTTP (docs/load.md)");
  const auto flags = std::make_shared<LoadFlags>();
  command
      .add_option("url", flags->url, "http://HOST:PORT, with a path such as /predict, or unix:PATH")
      ->required();
  command.add_option("--slo", flags->slo,
                     "p99=50ms: the highest rate at which 99 of 100 requests are answered in this "
                     "time is searched, proven, and proven again");
  command.add_option("--rate", flags->rate, "requests a second instead, as 10,100; a row for each");
  command.add_option("--time", flags->time, "for everything [3m]");
  command.add_option("--arrivals", flags->arrivals, "poisson, constant [poisson]");
  command.add_option("--trace", flags->trace,
                     "file of moments in seconds, one a line: requests bunch as there");
  command.add_option("--interface", flags->interface,
                     "breakeven, tei, vllm, oip [by the path, or as the server says]");
  command.add_option("--connections", flags->connections,
                     "keep, or new: one for each request [keep]");
  command.add_option("--timeout", flags->timeout,
                     "a request without a whole reply by then failed [ten limits, 2s at least]");
  command.add_option("--api-key-file", flags->key_file,
                     "file with the key for Authorization: Bearer KEY");
  command.add_option("--header", flags->headers, "\"Name: value\", of every request; repeatable");
  command.add_option("--texts", flags->texts,
                     "builtin, imdb, a .jsonl, .csv or .txt file, or - [builtin]");
  add_reading_flags(command, flags->reading);
  command.add_option("--split", flags->split, "of IMDB [test]");
  command.add_option("--count", flags->count, "texts to draw from [128]");
  command.add_option("--seed", flags->seed, "of texts and moments [1]");
  command.add_option("--device", flags->device,
                     "cpu, cuda:0 ...: what the server computes on, where it does not say so");
  command.add_option("--precision", flags->precision, "likewise");
  command.add_option("--max-length", flags->max_length,
                     "tokens at which it cuts a text, where it does not say so [512]");
  command.add_option("--model", flags->model,
                     "the server's model, as `classify` names it: its labels in fp32 are compared "
                     "with the server's");
  command.add_option("--format", flags->format, "table, md, csv, json, jsonl or html [table]");
  command.add_option("-o,--output", flags->output, "file for the report [stdout]");
  command.add_option("--journal", flags->journal,
                     "file that records are appended to [breakeven-<time>.jsonl]");
  command.footer(
      "0 a rate is proven (or all were played); 1 every rate misses the limit; 2 usage, or the "
      "server; 3 can't tell.");
  command.callback([flags, &context] { finish(context, run_load(*flags, context)); });
}

}  // namespace breakeven::cli
