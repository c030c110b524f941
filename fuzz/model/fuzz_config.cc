// Any bytes as a config.json: an error that names its cause, or a plan that the rest can rely on.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "model/plan.h"
#include "model/weights.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto plan = breakeven::model::parse_plan(text, "config.json");
  if (!plan) {
    BREAKEVEN_CHECK(plan.error().code.starts_with("config/"));
    BREAKEVEN_CHECK(plan.error().message.starts_with("config.json"));
    return 0;
  }
  BREAKEVEN_CHECK(plan->hidden > 0 && plan->heads > 0 && plan->hidden % plan->heads == 0);
  BREAKEVEN_CHECK(plan->layers > 0 && plan->intermediate > 0 && plan->positions > 0);
  BREAKEVEN_CHECK(!plan->labels.empty() && plan->pad_id >= 0);
  BREAKEVEN_CHECK(static_cast<std::size_t>(plan->pad_id) < plan->vocabulary);
  BREAKEVEN_CHECK(plan->norm_eps > 0);
  BREAKEVEN_CHECK(breakeven::model::tensor_table(*plan).size() > plan->layers);
  return 0;
}
