#include "model/architectures/architecture.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace breakeven::model {

// Each in the file of its name.
extern const Architecture kDistilBert, kBert, kRoberta, kXlmRoberta, kCamembert, kElectra,
    kDebertaV2, kModernBert;

std::span<const Architecture* const> architectures() {
  static constexpr const Architecture* kAll[] = {&kDistilBert, &kBert,      &kRoberta,
                                                 &kXlmRoberta, &kCamembert, &kElectra,
                                                 &kDebertaV2,  &kModernBert};
  return kAll;
}

const Architecture& architecture_named(std::string_view model_type) {
  const auto all = architectures();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Architecture* each) {
    return each->model_type == model_type;
  });
  BREAKEVEN_CHECK(found != all.end(), "{}", model_type);
  return **found;
}

ops::EncoderWeights sized_view(const EncoderPlan& plan) {
  ops::EncoderWeights view;
  view.hidden = plan.hidden;
  view.heads = plan.heads;
  view.intermediate = plan.intermediate;
  view.vocabulary = plan.vocabulary;
  view.positions = plan.positions;
  view.labels = plan.labels.size();
  view.form = plan.form;
  view.activation = plan.activation;
  view.layers.resize(plan.layers);
  view.head.activation = plan.head_activation;
  return view;
}

// Only the names whose formula is exactly the op's: gelu_10, quick_gelu, silu, mish ... are others.
Result<ops::Activation> read_activation(const JsonObject& config, std::string_view name) {
  static constexpr std::pair<std::string_view, ops::Activation> kKnown[] = {
      {"gelu", ops::Activation::gelu_erf},
      {"gelu_python", ops::Activation::gelu_erf},
      {"gelu_new", ops::Activation::gelu_tanh},
      {"gelu_fast", ops::Activation::gelu_tanh},
      {"gelu_accurate", ops::Activation::gelu_tanh},
      {"gelu_pytorch_tanh", ops::Activation::gelu_tanh},
      {"gelu_python_tanh", ops::Activation::gelu_tanh},
      {"relu", ops::Activation::relu},
  };
  BREAKEVEN_TRY(const std::string text, config.text(name, "gelu"));
  for (const auto& [known, activation] : kKnown) {
    if (text == known) return activation;
  }
  return unsupported(config, name, config.find(name)->shown(),
                     "only gelu, gelu_new and relu are built in");
}

Result<float> read_norm_eps(const JsonObject& config, float absent, std::string_view name) {
  const auto value = config.find(name);
  if (!value) return absent;
  const double eps = value->number().value_or(0);
  // Written so that NaN is refused, too. 1e-30 is still a normal float.
  if (!(eps >= 1e-30 && eps <= 1)) {
    return config.wrong(name, "a number from 1e-30 to 1");
  }
  return static_cast<float>(eps);
}

tl::unexpected<Error> unsupported(const JsonObject& config, std::string_view name,
                                  std::string_view value, std::string_view why) {
  return fail("config/unsupported", fmt::format("{} is {}, and {}", config.where(name), value, why),
              "Hugging Face Transformers can run this model");
}

}  // namespace breakeven::model
