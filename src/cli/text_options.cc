#include "cli/text_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "base/files.h"
#include "base/numbers.h"
#include "engine/placement.h"
#include "ops/cuda/device_list.h"

namespace breakeven::cli {
namespace {

constexpr std::uint64_t kMaxThreads = 4096;
constexpr std::pair<ScoreFunction, std::string_view> kScoreFunctions[] = {
    {ScoreFunction::softmax, "softmax"},
    {ScoreFunction::sigmoid, "sigmoid"},
    {ScoreFunction::none, "none"}};

// One text, or pair, from the command line.
class GivenText final : public data::Source {
 public:
  explicit GivenText(data::Review review) : review_(std::move(review)) {}
  Result<std::optional<data::Review>> next() override {
    return std::exchange(review_, std::nullopt);
  }
  std::string name() const override { return "--text"; }

 private:
  std::optional<data::Review> review_;
};

Result<std::unique_ptr<data::Source>> open_given(const TextFlags& flags) {
  if (!flags.text) {
    return fail("flag/text", fmt::format("--pair '{}' has no first text", *flags.pair),
                "give that one with --text; --pair-field names a field of a file");
  }
  if (flags.input != "-") {
    return fail("flag/text", fmt::format("--text and the file {} exclude each other", flags.input),
                "give one of the two");
  }
  data::Review review;
  review.text = *flags.text;
  review.second = flags.pair;
  return std::make_unique<GivenText>(std::move(review));
}

}  // namespace

void add_reading_flags(CLI::App& command, ReadingFlags& flags) {
  command.add_option(
      "--input-format", flags.input_format,
      "of texts: auto (by name, else by how it begins), jsonl (JSON, too), csv, lines "
      "[auto]");
  command.add_option(
      "--encoding", flags.encoding,
      "of texts: utf-8, utf-16, utf-32 (le and be, too), latin-1, cp1252 [by the byte "
      "order mark, else utf-8]");
  command.add_option("--text-field", flags.text_field,
                     "field or column that holds the text [text, or a pair by its usual names]");
  command.add_option("--pair-field", flags.pair_field,
                     "field or column that holds the second text of a pair");
  command.add_option("--csv-separator", flags.csv_separator,
                     "one letter, or tab [found out by the header]");
  command.add_option(
      "--csv-quoting", flags.csv_quoting,
      "on, off (quotes are letters), auto: on, but for fields between tabs whose quotes "
      "do not close [auto]");
  command.add_flag("--no-header", flags.no_header,
                   "CSV begins with a record; columns are called by number, as in --text-field 2");
}

Result<std::string> read_key(const std::string& path) {
  BREAKEVEN_TRY(std::string key, read_file(path));
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  if (!key.empty() && key.find_first_of(" \n\r\t") == std::string::npos) return key;
  return fail("flag/key", fmt::format("{} holds no key", path),
              "write one line without blanks into it");
}

Result<data::SourceOptions> source_options(const std::string& texts, const ReadingFlags& flags) {
  data::SourceOptions options;
  options.texts = texts;
  BREAKEVEN_TRY(options.format, data::parse_format(flags.input_format));
  if (!flags.encoding.empty()) {
    BREAKEVEN_TRY(options.encoding, data::parse_encoding(flags.encoding));
  }
  BREAKEVEN_TRY(options.separator, data::parse_separator(flags.csv_separator));
  BREAKEVEN_TRY(options.quoting, data::parse_quoting(flags.csv_quoting));
  options.header = !flags.no_header;
  options.text_field = flags.text_field;
  options.pair_field = flags.pair_field;
  return options;
}

void add_text_flags(CLI::App& command, TextFlags& flags) {
  command.add_option(
      "input", flags.input,
      "file of texts, - for stdin, a folder or archive of aclImdb, imdb, builtin; gzip, "
      "bzip2, xz, zstd, lz4 and zip are read through");
  command.add_option("--text", flags.text, "this one text instead of a file");
  command.add_option("--pair", flags.pair, "the second text of --text, which makes a pair of it");
  add_reading_flags(command, flags.reading);
  command.add_option("--model", flags.model,
                     "folder, name in the Hugging Face cache, builtin or builtin-narrow");
  command.add_option(
      "--max-length", flags.max_length,
      "tokens a text at most, [CLS] and [SEP] included [512]; never more than the model takes");
  command.add_option("--batch", flags.batch, "texts a batch [32]");
  command.add_option("--precision", flags.precision,
                     "fp32, fp32x3, bf16, fp16, int8, fp8 (GPUs only) [fp32]");
  command.add_option("--device", flags.device, "auto, cpu, cuda, cuda:1, cuda:0+cuda:1 ... [auto]");
  command.add_option("--threads", flags.threads, "CPU threads: a number or all [all]");
  command.add_option("-o,--output", flags.output, "write to this file instead of stdout");
}

Result<std::uint64_t> parse_number(const std::string& flag, const std::string& text,
                                   std::uint64_t least, std::uint64_t most) {
  const auto number = breakeven::parse_number<std::uint64_t>(text);
  if (number && *number >= least && *number <= most) return *number;
  return fail("flag/number",
              fmt::format("{} '{}' is no whole number from {} to {}", flag, text, least, most),
              fmt::format("give for example {} {}", flag, std::max<std::uint64_t>(least, 32)));
}

std::string_view name_of(ScoreFunction function) {
  return std::find_if(std::begin(kScoreFunctions), std::end(kScoreFunctions),
                      [&](const auto& each) { return each.first == function; })
      ->second;
}

Result<ScoreFunction> parse_score_function(const std::string& text) {
  for (const auto& [function, name] : kScoreFunctions) {
    if (text == name) return function;
  }
  return fail("flag/choice", fmt::format("--function-to-apply '{}' is not known", text),
              "give softmax, sigmoid or none");
}

std::uint64_t cut_length(std::optional<std::uint64_t> asked, std::uint64_t limit) {
  if (asked.value_or(0) > limit)
    tell(fmt::format("--max-length {}: this model takes {} tokens, longer texts are cut there",
                     *asked, limit));
  return std::min<std::uint64_t>(asked.value_or(engine::kDefaultMaxLength), limit);
}

Result<OpenModel> open_model(const std::string& name, const TextOptions& options) {
  OpenModel open{.setup = static_cast<const Setup&>(options)};
  BREAKEVEN_TRY(open.model, engine::load_model({name}));
  for (const std::string& note : {open.model->note, options.device_note}) {
    if (!note.empty()) tell(note);
  }
  open.limit =
      engine::length_limit(open.model->tokenizer->info(), open.model->checkpoint.plan.positions);
  open.setup.max_length = cut_length(options.asked_length, open.limit);
  return open;
}

void tell_cut(std::uint64_t cut, std::uint64_t texts, std::uint64_t max_length,
              std::uint64_t limit) {
  if (cut == 0) return;
  const std::string more = max_length >= limit ? ", and this model takes no more"
                           : limit <= kMaxLength
                               ? fmt::format("; this model takes --max-length {}", limit)
                               : "; --max-length takes more";
  tell(fmt::format("cut at {} tokens: {} of {} texts{}", max_length, cut, texts, more));
}

Result<TextOptions> check_text_flags(const TextFlags& flags) {
  TextOptions options;
  BREAKEVEN_TRY(options.batch, parse_number("--batch", flags.batch, 1, kMaxBatch));
  if (!flags.max_length.empty()) {
    BREAKEVEN_TRY(options.asked_length,
                  parse_number("--max-length", flags.max_length, 0, kMaxLength));
  }
  options.threads = engine::default_threads();
  if (flags.threads != "all") {
    BREAKEVEN_TRY(const std::uint64_t threads,
                  parse_number("--threads", flags.threads, 1, kMaxThreads));
    options.threads = static_cast<unsigned>(threads);
  }
  BREAKEVEN_TRY(options.precision, parse<Precision>(flags.precision));
  BREAKEVEN_TRY(auto selection, ops::select_devices(flags.device, ops::list_gpus()));
  if (selection.devices.size() > 1) {
    return fail("device/one", fmt::format("--device {} names several devices", flags.device),
                "name one: auto, cpu or cuda:0");
  }
  options.device = selection.devices.front();
  options.device_note = selection.note;
  return options;
}

Result<std::unique_ptr<data::Source>> open_texts(const TextFlags& flags) {
  if (flags.text || flags.pair) return open_given(flags);
  BREAKEVEN_TRY(data::SourceOptions options, source_options(flags.input, flags.reading));
  // A file of such a name is what its owner means.
  if ((flags.input == "imdb" || flags.input == "builtin") && is_there(flags.input)) {
    options.texts.insert(0, "./");
  }
  options.label_field = "";
  if (flags.input == "-" && ::isatty(STDIN_FILENO) == 1) {
    tell("reading texts from the terminal, one a line; end with Ctrl-D");
  }
  BREAKEVEN_TRY(auto source, data::open_source(options));
  for (const std::string& assumption : source->assumptions()) tell(assumption);
  return source;
}

Result<void> finish_stream(Result<void> streamed, const data::Source& source, Output& output) {
  if (const std::string losses = source.losses(); !losses.empty()) tell(losses);
  if (streamed) streamed = output.close();
  if (streamed || is_closed_pipe(streamed.error())) return {};
  Error error = std::move(streamed).error();
  if (output.records() > 0) {
    error.message +=
        fmt::format(" ({} written to {} before that)", output.records(), output.name());
  }
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace breakeven::cli
