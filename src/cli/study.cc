#include "cli/study.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/units.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/quantities.h"
#include "runtimes/environment.h"
#include "session/study_input.h"
#include "study/scale.h"

namespace breakeven::cli {
namespace {

std::string describe(const study::RuntimeAxis& axis) {
  std::vector<std::string> parts;
  for (const Ability& ability : axis.abilities) {
    std::vector<std::string> paddings;
    for (const Padding padding : ability.paddings) paddings.push_back(to_string(padding));
    parts.push_back(fmt::format("{} {} padded {}", to_string(ability.device),
                                to_string(ability.precision), fmt::join(paddings, "/")));
  }
  return parts.empty() ? "nothing on these devices"
                       : fmt::format("can: {}", fmt::join(parts, ", "));
}

// A precision that is named must be one that some runtime runs on each device.
Result<void> check_precisions(const study::Axes& axes) {
  for (const Device& device : axes.devices) {
    for (const Precision precision : axes.precisions) {
      std::vector<Precision> can;
      for (const study::RuntimeAxis& axis : axes.runtimes) {
        for (const Ability& ability : axis.abilities) {
          if (ability.device != device) continue;
          if (std::find(can.begin(), can.end(), ability.precision) == can.end()) {
            can.push_back(ability.precision);
          }
        }
      }
      if (std::find(can.begin(), can.end(), precision) != can.end()) continue;
      return fail("flag/precision",
                  fmt::format("{} does not run {} fast", to_string(device), to_string(precision)),
                  "it runs " + list_names(can));
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Study>> prepare_study(const StudyFlags& flags, const Context& context,
                                             TextCounts defaults) {
  auto study = std::make_unique<Study>();
  study->flags = flags;
  BREAKEVEN_TRY(study->render.format, report::parse_format(flags.format));
  study->render.colour = use_colour(flags.output);
  BREAKEVEN_TRY_VOID(check_output(flags.output));
  BREAKEVEN_TRY(study->time_s, parse_duration(flags.time));
  study->gpus = ops::list_gpus();
  BREAKEVEN_TRY(ops::DeviceSelection selection, ops::select_devices(flags.device, study->gpus));
  study->device_note = std::move(selection.note);

  session::Options options;
  options.model = flags.model;
  options.devices = std::move(selection.devices);
  BREAKEVEN_TRY(options.runtimes, parse_runtimes(flags.runtime));
  BREAKEVEN_TRY(options.interpreters, runtimes::parse_interpreters(flags.python));
  options.instruction_set = flags.instruction_set;
  options.stop = &stop_on_interrupt();
  BREAKEVEN_TRY(study->session, session::Session::open(std::move(options)));
  session::Session& session = *study->session;

  BREAKEVEN_TRY(study->axes, parse_axes(study->flags, session.facts().length_limit));
  BREAKEVEN_TRY_VOID(session.ask_runtimes(study->axes.max_lengths.front()));
  study->axes.devices = session.options().devices;
  study->axes.runtimes = session.axes();
  BREAKEVEN_TRY_VOID(read_study_texts(*study, context, defaults));
  return study;
}

Result<void> read_study_texts(Study& study, const Context& context, TextCounts defaults) {
  const session::Session& session = *study.session;
  BREAKEVEN_TRY(const TextCounts counts, parse_counts(study.flags, defaults));
  BREAKEVEN_TRY(data::SourceOptions source, text_source(study.flags));
  source.labels = session.facts().labels;
  BREAKEVEN_TRY(study.reviews, session::read_texts(source, counts.judged));
  study.input = session::make_input(session, study.reviews, counts.timed);
  study.input.time_s = study.time_s;
  study.input.seed = study.flags.seed;
  study.input.energy = study.flags.energy;
  if (!study.flags.paced.p99.empty()) {
    BREAKEVEN_TRY(study.input.p99_limit_s, parse_latency("--p99", study.flags.paced.p99));
  }
  study.input.prototype.command = context.command;
  study.input.prototype.machine.more["gpu_note"] = study.device_note;
  return {};
}

void choose_texts(Study& study, std::size_t timed) {
  std::vector<data::Review>& reviews = study.reviews.reviews;
  // Every prefix of these has their lengths already, and the judge's logits that ship are for their
  // order.
  if (study.flags.texts != "builtin" && study.flags.texts != "imdb") {
    std::vector<std::uint32_t> lengths;
    lengths.reserve(reviews.size());
    for (const data::Review& review : reviews) {
      lengths.push_back(static_cast<std::uint32_t>(review.text.size()));
    }
    std::vector<data::Review> ordered;
    ordered.reserve(reviews.size());
    for (const std::size_t i : study::length_matched_order(lengths)) {
      ordered.push_back(std::move(reviews[i]));
    }
    reviews = std::move(ordered);
  }
  session::set_texts(study.input, study.reviews, timed);
}

Result<Plan> plan_study(const Study& study) {
  study::Axes axes = study.axes;
  if (axes.precisions.empty()) {
    axes.precisions = {Precision::fp32, Precision::bf16, Precision::fp16, Precision::int8};
  } else {
    BREAKEVEN_TRY_VOID(check_precisions(axes));
  }
  Plan plan{study::plan_cells(axes), study.session->notes()};
  plan.notes.insert(plan.notes.end(), study.reviews.remarks.begin(), study.reviews.remarks.end());
  for (const study::RuntimeAxis& axis : axes.runtimes) {
    const bool any = std::any_of(plan.cells.begin(), plan.cells.end(),
                                 [&](const auto& cell) { return cell.runtime == axis.runtime; });
    if (any) continue;
    plan.notes.push_back(fmt::format("{} has no row: it cannot do what is asked ({})",
                                     to_string(axis.runtime), describe(axis)));
  }
  if (plan.cells.empty()) {
    return fail("flag/choice", "no runtime can do what is asked",
                fmt::format("{}", fmt::join(plan.notes, "; ")));
  }
  BREAKEVEN_TRY_VOID(check_paced_time(plan.cells, study.input.time_s));
  return plan;
}

}  // namespace breakeven::cli
