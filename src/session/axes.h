// Which runtimes a session may use, and what each of them can do on its devices.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtimes/pool.h"
#include "study/plan.h"

namespace breakeven::session {

// A runtime whose variant "" stands for its default and "all" for every one.
using RuntimeChoice = Runtime;

// Whether a choice names the native engine.
bool includes_native(const std::vector<RuntimeChoice>& choices);
// ... and any other one.
bool includes_others(const std::vector<RuntimeChoice>& choices);

// What the native engine can do on the devices; `instruction_set` as Options has it.
study::RuntimeAxis native_axis(const std::vector<Device>& devices,
                               const std::string& instruction_set);

struct RuntimeAxes {
  std::vector<study::RuntimeAxis> axes;
  std::vector<std::string> notes;  // runtimes that are not there, and why
};

// What the choices can do on `devices`. A runtime that is not set up or does not start is a note;
// when nothing is left, the first one's error. Errors: flag/choice (a variant that the runtime does
// not have), those of runtimes::Pool::capabilities.
Result<RuntimeAxes> find_axes(const std::vector<RuntimeChoice>& choices,
                              const std::vector<Device>& devices,
                              const std::string& instruction_set, runtimes::Pool& pool);

// The runtime whose fp32 on the CPU judges where ours cannot, and ours where it can: PyTorch if it
// is among them, else the first that has it. Nothing when none has.
std::optional<study::Spec> choose_other_judge(const std::vector<study::RuntimeAxis>& axes);

}  // namespace breakeven::session
