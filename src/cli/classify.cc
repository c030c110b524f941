// breakeven classify: texts in, labels out.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

#include "cli/commands.h"
#include "cli/text_options.h"
#include "cli/text_stream.h"
#include "engine/native.h"

namespace breakeven::cli {
namespace {

constexpr std::uint64_t kMaxTop = 1'000'000;  // a model of fewer labels gives all of them

struct ScoreFlags {
  std::string function;  // "" = what the model's config.json makes it
  std::string top;       // "" = no list of scores
};

// Errors: flag/choice, flag/number.
Result<LabelForm> check_score_flags(const ScoreFlags& flags) {
  static constexpr std::pair<std::string_view, ScoreFunction> kFunctions[] = {
      {"softmax", ScoreFunction::softmax},
      {"sigmoid", ScoreFunction::sigmoid},
      {"none", ScoreFunction::none}};
  LabelForm form;
  if (!flags.function.empty()) {
    const auto* const found =
        std::find_if(std::begin(kFunctions), std::end(kFunctions),
                     [&](const auto& each) { return each.first == flags.function; });
    if (found == std::end(kFunctions)) {
      return fail("flag/choice",
                  fmt::format("--function-to-apply '{}' is not known", flags.function),
                  "give softmax, sigmoid or none");
    }
    form.function = found->second;
  }
  if (flags.top == "all") {
    form.top = SIZE_MAX;
  } else if (!flags.top.empty()) {
    BREAKEVEN_TRY(form.top, parse_number("--top-k", flags.top, 1, kMaxTop));
  }
  return form;
}

Result<void> classify(const TextFlags& flags, const ScoreFlags& score_flags) {
  BREAKEVEN_TRY(const TextOptions options, check_text_flags(flags));
  // Before anything is loaded: a wrong flag is told at once.
  BREAKEVEN_TRY(LabelForm form, check_score_flags(score_flags));
  BREAKEVEN_TRY(const auto source, open_texts(flags));
  BREAKEVEN_TRY(Output output, Output::open(flags.output, flags.input));
  BREAKEVEN_TRY(const auto model, engine::load_model({flags.model}));
  for (const std::string& note : {model->note, options.device_note}) {
    if (!note.empty()) tell(note);
  }
  Setup setup = static_cast<const Setup&>(options);
  const std::size_t limit =
      engine::length_limit(model->tokenizer->info(), model->checkpoint.plan.positions);
  setup.max_length = cut_length(options.asked_length, limit);
  BREAKEVEN_TRY(const auto classifier, engine::make_native(model, {.setup = setup}));

  if (score_flags.function.empty()) form.function = model->checkpoint.plan.score;
  LabelCounts counts;
  // Short at first, so that the first labels come soon; later windows are long, so that few
  // workers wait at their end.
  const WindowLimits limits{.first_texts = 4 * options.batch, .texts = 64 * options.batch};
  auto finished =
      finish_stream(label_texts(*source, *classifier, options.batch, form, limits, output, counts),
                    *source, output);
  tell_cut(counts.cut, counts.texts, setup.max_length, limit);
  return finished;
}

}  // namespace

void add_classify(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand(
      "classify", "Label texts: JSONL, CSV or plain lines in, one JSON line a text out, in order");
  command.footer(
      "Fields of the input other than the text are passed on; one that is called index, label,\n"
      "score, logits or scores becomes input_index, input_label and so on.");
  const auto flags = std::make_shared<TextFlags>();
  const auto score_flags = std::make_shared<ScoreFlags>();
  add_text_flags(command, *flags);
  command.add_option("--function-to-apply", score_flags->function,
                     "makes scores of logits: softmax, sigmoid or none [what config.json says, as "
                     "Hugging Face's pipeline]");
  command.add_option("--top-k", score_flags->top,
                     "also list the labels with the N highest scores, or all, as \"scores\"");
  command.callback(
      [flags, score_flags, &context] { finish(context, classify(*flags, *score_flags)); });
}

}  // namespace breakeven::cli
