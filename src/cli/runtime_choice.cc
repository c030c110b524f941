#include "cli/runtime_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "cli/study_options.h"
#include "engine/native.h"

namespace breakeven::cli {
namespace {

constexpr const char* kNative = "native";

std::vector<std::string> known_names() {
  std::vector<std::string> names = {kNative};
  for (const std::string_view name : runtimes::known_runtimes()) names.emplace_back(name);
  return names;
}

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

Result<std::vector<RuntimeChoice>> parse_runtimes(const std::string& text) {
  std::vector<RuntimeChoice> choices;
  std::vector<std::string> known = known_names();
  if (text == "all") {
    for (std::string& name : known) choices.push_back({std::move(name), ""});
    return choices;
  }
  std::size_t at = 0;
  while (true) {
    const std::size_t comma = text.find(',', at);
    const std::string part = text.substr(at, comma == std::string::npos ? comma : comma - at);
    const std::size_t colon = part.find(':');
    const RuntimeChoice choice{part.substr(0, colon),
                               colon == std::string::npos ? "" : part.substr(colon + 1)};
    const bool empty_variant = colon != std::string::npos && choice.variant.empty();
    const bool native_variant = choice.runtime == kNative && colon != std::string::npos;
    // The null runtime measures the harness, not a model: known by name, listed nowhere.
    const bool is_known = choice.runtime == "null" ||
                          std::find(known.begin(), known.end(), choice.runtime) != known.end();
    if (!is_known || empty_variant || native_variant) {
      return fail("flag/choice", fmt::format("--runtime '{}' is not known", part),
                  fmt::format("choose from {}, all; a way of using one as in pytorch:tuned, "
                              "every way as in pytorch:all",
                              fmt::join(known, ", ")));
    }
    if (std::find(choices.begin(), choices.end(), choice) == choices.end()) {
      choices.push_back(choice);
    }
    if (comma == std::string::npos) return choices;
    at = comma + 1;
  }
}

bool includes_native(const std::vector<RuntimeChoice>& choices) {
  return std::any_of(choices.begin(), choices.end(),
                     [](const RuntimeChoice& choice) { return choice.runtime == kNative; });
}

study::RuntimeAxis native_axis(const std::vector<std::string>& devices) {
  study::RuntimeAxis axis{kNative, "", {}};
  for (const std::string& device : devices) {
    for (const ops::Precision precision : engine::native_precisions(device)) {
      axis.abilities.push_back(
          {device, std::string(ops::to_string(precision)), {"none", "longest", "max_length"}});
    }
  }
  return axis;
}

Result<RuntimeAxes> find_axes(const std::vector<RuntimeChoice>& choices,
                              const std::vector<std::string>& devices, runtimes::Pool& pool) {
  RuntimeAxes result;
  std::optional<Error> first;
  for (const RuntimeChoice& choice : choices) {
    if (choice.runtime == kNative) {
      result.axes.push_back(native_axis(devices));
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

}  // namespace breakeven::cli
