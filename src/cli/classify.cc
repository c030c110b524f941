// breakeven classify: texts in, labels out.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/classify_shards.h"
#include "cli/commands.h"
#include "cli/study_flags.h"
#include "cli/text_options.h"
#include "cli/text_stream.h"
#include "cli/zero_shot.h"
#include "engine/native.h"
#include "engine/zero_shot.h"

namespace breakeven::cli {
namespace {

constexpr std::uint64_t kMaxTop = 1'000'000;  // a model of fewer labels gives all of them

struct ScoreFlags {
  std::string function;  // "" = what the model's config.json makes it
  std::string top;       // "" = no list of scores
  std::optional<std::string> keep;
};

// Errors: flag/choice, flag/number.
Result<LabelForm> check_score_flags(const ScoreFlags& flags) {
  LabelForm form;
  if (!flags.function.empty()) {
    BREAKEVEN_TRY(form.function, parse_score_function(flags.function));
  }
  if (flags.top == "all") {
    form.top = SIZE_MAX;
  } else if (!flags.top.empty()) {
    BREAKEVEN_TRY(form.top, parse_number("--top-k", flags.top, 1, kMaxTop));
  }
  if (flags.keep) {
    const std::vector<std::string> names = split_list(*flags.keep == "none" ? "" : *flags.keep);
    form.keep.emplace(names.begin(), names.end());
    form.keep->erase("");  // none, or a comma at the end
  }
  return form;
}

// The candidates are the labels, and they say what makes the scores. Errors: flag/zero-shot.
Result<std::optional<engine::ZeroShot>> check_zero_shot(const ZeroShotFlags& flags,
                                                        const ScoreFlags& score_flags,
                                                        LabelForm& form) {
  BREAKEVEN_TRY(auto zero_shot, check_zero_shot_flags(flags));
  if (!zero_shot) return zero_shot;
  if (!score_flags.function.empty()) {
    return fail(
        "flag/zero-shot",
        fmt::format("--function-to-apply {} does not go with --zero-shot", score_flags.function),
        "leave it out; --multi-label scores each candidate by itself");
  }
  form.function = zero_shot->multi_label ? ScoreFunction::sigmoid : ScoreFunction::softmax;
  if (form.top == 0) form.top = SIZE_MAX;
  return zero_shot;
}

// Of the model's labels or of candidates; tells where scores are not those of Hugging Face's
// pipeline.
Result<std::unique_ptr<Classifier>> open_classifier(
    const std::shared_ptr<const engine::LoadedModel>& model, const Setup& setup,
    const std::optional<engine::ZeroShot>& zero_shot) {
  if (!zero_shot) return engine::make_native(model, {.setup = setup});
  const std::vector<std::string>& names = model->checkpoint.plan.labels;
  BREAKEVEN_TRY(const auto labels, engine::find_inference_labels(names));
  if (zero_shot->multi_label && labels.contradiction != labels.pipelines_contradiction) {
    tell(
        fmt::format("scores weigh '{}' against '{}'; Hugging Face's pipeline, which goes by the "
                    "place, takes '{}' for a contradiction",
                    names[labels.entailment], names[labels.contradiction],
                    names[labels.pipelines_contradiction]));
  }
  return engine::make_zero_shot(model, {.setup = setup}, *zero_shot);
}

// Short at first, so that the first labels come soon; later windows are long, so that few workers
// wait at their end.
WindowLimits window_limits(std::size_t batch, const std::optional<engine::ZeroShot>& zero_shot) {
  const std::size_t pairs = zero_shot ? zero_shot->candidates.size() : 1;  // of a text
  const std::size_t window = std::max<std::size_t>(1, 4 * batch / pairs);
  return {.first_texts = window, .texts = 16 * window};
}

ShardJob shard_job(const TextFlags& flags, const TextOptions& options,
                   const ScoreFlags& score_flags, const LabelForm& form,
                   const std::optional<engine::ZeroShot>& zero_shot) {
  ShardJob job;
  job.text = flags;
  job.options = options;
  job.form = form;
  job.limits = window_limits(options.batch, zero_shot);
  if (zero_shot) {
    job.asked.emplace_back("candidates", fmt::format("{}", fmt::join(zero_shot->candidates, "\n")));
    job.asked.emplace_back("hypotheses", fmt::format("{}", fmt::join(zero_shot->hypotheses, "\n")));
    job.asked.emplace_back("--multi-label", zero_shot->multi_label ? "yes" : "no");
  }
  job.make = [zero_shot](const OpenModel& open) {
    return open_classifier(open.model, open.setup, zero_shot);
  };
  if (form.keep) job.asked.emplace_back("--keep", fmt::format("{}", fmt::join(*form.keep, ",")));
  const bool asked = zero_shot || !score_flags.function.empty();
  job.function = [asked, given = form.function](const OpenModel& open) {
    return asked ? given : open.model->checkpoint.plan.score;
  };
  return job;
}

Result<void> classify(const TextFlags& flags, const ScoreFlags& score_flags,
                      const ZeroShotFlags& zero_shot_flags, const ShardFlags& shard_flags,
                      Context& context) {
  BREAKEVEN_TRY(const TextOptions options, check_text_flags(flags));
  // Before anything is loaded: a wrong flag is told at once.
  BREAKEVEN_TRY(LabelForm form, check_score_flags(score_flags));
  BREAKEVEN_TRY(const auto zero_shot, check_zero_shot(zero_shot_flags, score_flags, form));
  if (shard_flags.any()) {
    return classify_shards(shard_flags, shard_job(flags, options, score_flags, form, zero_shot),
                           context);
  }
  if (!shard_flags.more.empty()) {
    return fail("flag/shard",
                fmt::format("one file at a time, not {} as well", shard_flags.more.front()),
                "several are cut into shards: --output FOLDER --shard 0/1");
  }
  BREAKEVEN_TRY(const auto source, open_texts(flags));
  BREAKEVEN_TRY(Output output, Output::open(flags.output, flags.input));
  BREAKEVEN_TRY(const OpenModel open, open_model(flags.model, options));
  BREAKEVEN_TRY(const auto classifier, open_classifier(open.model, open.setup, zero_shot));

  if (!zero_shot && score_flags.function.empty()) form.function = open.model->checkpoint.plan.score;
  LabelCounts counts;
  const WindowLimits limits = window_limits(options.batch, zero_shot);
  auto finished =
      finish_stream(label_texts(*source, *classifier, options.batch, form, limits, output, counts),
                    *source, output);
  tell_cut(counts.cut, counts.texts, open.setup.max_length, open.limit);
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
  const auto zero_shot_flags = std::make_shared<ZeroShotFlags>();
  add_text_flags(command, *flags);
  command.add_option("--function-to-apply", score_flags->function,
                     "makes scores of logits: softmax, sigmoid or none [what config.json says, as "
                     "Hugging Face's pipeline]");
  command.add_option("--top-k", score_flags->top,
                     "also list the labels with the N highest scores, or all, as \"scores\" [all "
                     "of --zero-shot]");
  command.add_option("--keep", score_flags->keep,
                     "fields of the input that are passed on: id,stars, or none [all]");
  add_zero_shot_flags(command, *zero_shot_flags);
  const auto shard_flags = std::make_shared<ShardFlags>();
  add_shard_flags(command, *shard_flags);
  command.callback([flags, score_flags, zero_shot_flags, shard_flags, &context] {
    finish(context, classify(*flags, *score_flags, *zero_shot_flags, *shard_flags, context));
  });
}

}  // namespace breakeven::cli
