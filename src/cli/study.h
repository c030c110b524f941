// A study as the flags of `run` and `scale` ask for it, made ready: everything is checked before
// anything is measured.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/commands.h"
#include "cli/study_flags.h"
#include "data/source.h"
#include "ops/cuda/device_list.h"
#include "report/report.h"
#include "session/session.h"
#include "study/plan.h"
#include "study/sweep.h"

namespace breakeven::cli {

struct Study {
  StudyFlags flags;
  ops::GpuList gpus;
  std::string device_note;  // "no GPU was seen: ..."
  std::unique_ptr<session::Session> session;
  data::ReviewSet reviews;
  study::Axes axes;
  study::Input input;  // but for cells; views into `reviews`
  double time_s = 0;   // --time
  report::RenderOptions render;
};
// `defaults`: texts of a pass and judged ones when the flags do not say.
Result<std::unique_ptr<Study>> prepare_study(const StudyFlags& flags, const Context& context,
                                             TextCounts defaults);

// The study's texts and input anew, with other counts. Errors: as session::read_texts.
Result<void> read_study_texts(Study& study, const Context& context, TextCounts defaults);

// Makes a pass of `timed` of the texts, spread over the lengths of all that were read; these are
// judged.
void choose_texts(Study& study, std::size_t timed);

struct Plan {
  std::vector<record::Cell> cells;
  std::vector<std::string> notes;  // what a person should know before anything is measured
};
// Cells of the axes that each device can run: --precision all means what a device runs fast.
// What a runtime cannot do is a note. Errors: flag/choice, flag/precision, flag/rate.
Result<Plan> plan_study(const Study& study);

}  // namespace breakeven::cli
