// breakeven classify: texts in, labels out.
#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/text_options.h"
#include "cli/text_stream.h"
#include "engine/native.h"

namespace breakeven::cli {
namespace {

Result<void> classify(const TextFlags& flags) {
  BREAKEVEN_TRY(const TextOptions options, check_text_flags(flags));
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

  LabelCounts counts;
  // Short at first, so that the first labels come soon; later windows are long, so that few
  // workers wait at their end.
  const WindowLimits limits{.first_texts = 4 * options.batch, .texts = 64 * options.batch};
  auto finished = finish_stream(
      label_texts(*source, *classifier, options.batch, limits, output, counts), *source, output);
  tell_cut(counts.cut, counts.texts, setup.max_length, limit);
  return finished;
}

}  // namespace

void add_classify(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand(
      "classify", "Label texts: JSONL, CSV or plain lines in, one JSON line a text out, in order");
  command.footer(
      "Fields of the input other than the text are passed on; one that is called index, label,\n"
      "score or logits becomes input_index, input_label and so on.");
  const auto flags = std::make_shared<TextFlags>();
  add_text_flags(command, *flags);
  command.callback([flags, &context] { finish(context, classify(*flags)); });
}

}  // namespace breakeven::cli
