#include "session/axes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "engine/native.h"

namespace breakeven::session {
namespace {

constexpr const char* kNative = "native";

// One axis a variant, in the runtime's order.
std::vector<study::RuntimeAxis> axes_of(const runtimes::Capabilities& capabilities) {
  std::vector<study::RuntimeAxis> axes;
  for (const runtimes::Ability& ability : capabilities.abilities) {
    auto found = std::find_if(axes.begin(), axes.end(), [&](const study::RuntimeAxis& axis) {
      return axis.variant == ability.variant;
    });
    if (found == axes.end()) {
      axes.push_back({capabilities.runtime, ability.variant, {}});
      found = std::prev(axes.end());
    }
    found->abilities.push_back({ability.device, ability.precision, ability.paddings});
  }
  return axes;
}

Result<void> add_variant(const std::string& variant, std::vector<study::RuntimeAxis> known,
                         std::vector<study::RuntimeAxis>& out) {
  std::vector<std::string> names;
  bool found = false;
  for (study::RuntimeAxis& axis : known) {
    names.push_back(axis.variant.empty() ? axis.runtime : axis.runtime + ":" + axis.variant);
    const bool first = &axis == known.data();
    if (variant != "all" && variant != axis.variant && !(variant.empty() && first)) continue;
    found = true;
    const bool twice = std::any_of(out.begin(), out.end(), [&](const study::RuntimeAxis& other) {
      return other.runtime == axis.runtime && other.variant == axis.variant;
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
                     [](const RuntimeChoice& choice) { return choice.runtime == kNative; });
}

bool includes_others(const std::vector<RuntimeChoice>& choices) {
  return std::any_of(choices.begin(), choices.end(),
                     [](const RuntimeChoice& choice) { return choice.runtime != kNative; });
}

study::RuntimeAxis native_axis(const std::vector<std::string>& devices,
                               const std::string& instruction_set) {
  study::RuntimeAxis axis{kNative, "", {}};
  for (const std::string& device : devices) {
    for (const ops::Precision precision : engine::native_precisions(device, instruction_set)) {
      axis.abilities.push_back(
          {device, std::string(ops::to_string(precision)), {"none", "longest", "max_length"}});
    }
  }
  return axis;
}

Result<RuntimeAxes> find_axes(const std::vector<RuntimeChoice>& choices,
                              const std::vector<std::string>& devices,
                              const std::string& instruction_set, runtimes::Pool& pool) {
  RuntimeAxes result;
  std::optional<Error> first;
  for (const RuntimeChoice& choice : choices) {
    if (choice.runtime == kNative) {
      result.axes.push_back(native_axis(devices, instruction_set));
      continue;
    }
    auto capabilities = pool.capabilities(choice.runtime);
    if (!capabilities) {
      if (capabilities.error().code == "runtime/interrupted") {
        return propagate(std::move(capabilities));
      }
      result.notes.push_back(
          fmt::format("{} is left out: {}", choice.runtime, capabilities.error().to_string()));
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
    if (axis.runtime == kNative || axis.runtime == "null") continue;
    for (const study::Ability& ability : axis.abilities) {
      if (ability.device != "cpu" || ability.precision != "fp32") continue;
      study::Spec spec;
      spec.runtime = axis.runtime;
      spec.variant = axis.variant;
      // The outputs do not depend on padding; its time does.
      const auto& paddings = ability.paddings;
      const bool longest = std::find(paddings.begin(), paddings.end(), "longest") != paddings.end();
      spec.padding = longest ? "longest" : paddings.front();
      if (!chosen || (spec.runtime == "pytorch" && chosen->runtime != "pytorch")) {
        chosen = std::move(spec);
      }
    }
  }
  return chosen;
}

}  // namespace breakeven::session
