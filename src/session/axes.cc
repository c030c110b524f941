#include "session/axes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "engine/native.h"

namespace breakeven::session {
namespace {

// Measures the harness, not a model: known by name, listed nowhere.
constexpr const char* kNullRuntime = "null";
// As a judge before all others.
constexpr const char* kFirstJudge = "pytorch";

// One axis a variant, in the runtime's order.
std::vector<study::RuntimeAxis> axes_of(const runtimes::Capabilities& capabilities) {
  std::vector<study::RuntimeAxis> axes;
  for (const Ability& ability : capabilities.abilities) {
    auto found = std::find_if(axes.begin(), axes.end(), [&](const study::RuntimeAxis& axis) {
      return axis.runtime.variant == ability.variant;
    });
    if (found == axes.end()) {
      axes.push_back({{capabilities.runtime, ability.variant}, {}});
      found = std::prev(axes.end());
    }
    found->abilities.push_back(ability);
  }
  return axes;
}

Result<void> add_variant(const std::string& variant, std::vector<study::RuntimeAxis> known,
                         std::vector<study::RuntimeAxis>& out) {
  std::vector<std::string> names;
  bool found = false;
  for (study::RuntimeAxis& axis : known) {
    names.push_back(to_string(axis.runtime));
    const bool first = &axis == known.data();
    if (variant != "all" && variant != axis.runtime.variant && !(variant.empty() && first))
      continue;
    found = true;
    const bool twice = std::any_of(out.begin(), out.end(), [&](const study::RuntimeAxis& other) {
      return other.runtime == axis.runtime;
    });
    if (!twice) out.push_back(std::move(axis));
  }
  if (found) return {};
  return fail("flag/choice", fmt::format("--runtime has no variant '{}' here", variant),
              fmt::format("choose from {}", fmt::join(names, ", ")));
}

}  // namespace

bool includes_native(const std::vector<RuntimeChoice>& choices) {
  return std::any_of(choices.begin(), choices.end(),
                     [](const RuntimeChoice& choice) { return choice.is_native(); });
}

bool includes_others(const std::vector<RuntimeChoice>& choices) {
  return std::any_of(choices.begin(), choices.end(),
                     [](const RuntimeChoice& choice) { return !choice.is_native(); });
}

study::RuntimeAxis native_axis(const std::vector<Device>& devices,
                               const std::string& instruction_set) {
  study::RuntimeAxis axis{{}, {}};
  for (const Device& device : devices) {
    for (const Precision precision : engine::native_precisions(device, instruction_set)) {
      axis.abilities.push_back({"", device, precision, all_of<Padding>()});
    }
  }
  return axis;
}

Result<RuntimeAxes> find_axes(const std::vector<RuntimeChoice>& choices,
                              const std::vector<Device>& devices,
                              const std::string& instruction_set, runtimes::Pool& pool) {
  RuntimeAxes result;
  std::optional<Error> first;
  for (const RuntimeChoice& choice : choices) {
    if (choice.is_native()) {
      result.axes.push_back(native_axis(devices, instruction_set));
      continue;
    }
    auto capabilities = pool.capabilities(choice.name);
    if (!capabilities) {
      if (capabilities.error().code == "runtime/interrupted") {
        return propagate(std::move(capabilities));
      }
      result.notes.push_back(
          fmt::format("{} is left out: {}", choice.name, capabilities.error().to_string()));
      if (!first) first = capabilities.error();
      continue;
    }
    BREAKEVEN_TRY_VOID(add_variant(choice.variant, axes_of(*capabilities), result.axes));
  }
  if (result.axes.empty() && first) return tl::unexpected<Error>(*first);
  return result;
}

std::optional<study::Spec> choose_other_judge(const std::vector<study::RuntimeAxis>& axes) {
  std::optional<study::Spec> chosen;
  for (const study::RuntimeAxis& axis : axes) {
    if (axis.runtime.is_native() || axis.runtime.name == kNullRuntime) continue;
    for (const Ability& ability : axis.abilities) {
      if (!ability.device.is_cpu() || ability.precision != Precision::fp32) continue;
      study::Spec spec;
      spec.runtime = axis.runtime;
      // The outputs do not depend on padding; its time does.
      const auto& paddings = ability.paddings;
      const bool longest =
          std::find(paddings.begin(), paddings.end(), Padding::longest) != paddings.end();
      spec.padding = longest ? Padding::longest : paddings.front();
      if (!chosen || (spec.runtime.name == kFirstJudge && chosen->runtime.name != kFirstJudge)) {
        chosen = std::move(spec);
      }
    }
  }
  return chosen;
}

}  // namespace breakeven::session
