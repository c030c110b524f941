#include "ops/cuda/switches.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace breakeven::ops::cuda {
namespace {

struct Named {
  std::string_view name;
  bool Switches::*on;
};
constexpr std::array kAll{Named{"graphs", &Switches::graphs},
                          Named{"fp32_tiles", &Switches::fp32_tiles},
                          Named{"product_scales", &Switches::product_scales},
                          Named{"residual_beta", &Switches::residual_beta},
                          Named{"wide_rows", &Switches::wide_rows},
                          Named{"wide_attention", &Switches::wide_attention},
                          Named{"cls_tiles", &Switches::cls_tiles},
                          Named{"pinned_logits", &Switches::pinned_logits}};

}  // namespace

Result<Switches> switches_without(std::string_view names) {
  Switches switches;
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(','), names.size());
    const std::string_view name = names.substr(0, end);
    names.remove_prefix(std::min(end + 1, names.size()));
    const auto* const found =
        std::find_if(kAll.begin(), kAll.end(), [&](const Named& one) { return one.name == name; });
    if (found == kAll.end()) {
      std::string known;
      for (const Named& one : kAll)
        known += fmt::format("{}{}", known.empty() ? "" : ", ", one.name);
      return fail("ops/switches",
                  fmt::format("BREAKEVEN_CUDA_WITHOUT: there is no path '{}'", name),
                  "choose from " + known);
    }
    switches.*found->on = false;
  }
  return switches;
}

Result<Switches> switches_by_environment() {
  const char* names = std::getenv("BREAKEVEN_CUDA_WITHOUT");
  return switches_without(names == nullptr ? "" : names);
}

std::string to_string(const Switches& switches) {
  std::string text;
  for (const Named& one : kAll) {
    if (!(switches.*one.on))
      text += fmt::format("{}{}", text.empty() ? "without " : ", ", one.name);
  }
  return text;
}

}  // namespace breakeven::ops::cuda
