#include "ops/ops.h"

#include <fmt/format.h>

namespace breakeven::ops {

Result<void> require_bert_form(const EncoderForm& form, std::string_view backend) {
  std::string lacks;
  const auto need = [&lacks](bool has, std::string_view what) {
    if (!has) lacks += fmt::format("{}{}", lacks.empty() ? "" : ", ", what);
  };
  using Form = EncoderForm;
  need(form.norm == Form::Norm::post, "LayerNorm before attention and FFN");
  need(form.position != Form::Position::rotary, "rotary positions");
  need(form.position != Form::Position::relative, "relative positions");
  need(form.ffn == Form::Ffn::plain, "a gated FFN");
  need(form.attention == Form::Attention::full, "attention in a window");
  need(form.pooling == Form::Pooling::cls, "the mean of all rows");
  if (lacks.empty()) return {};
  return fail("ops/unsupported", fmt::format("the {} backend does not compute {}", backend, lacks),
              "run this model with another runtime: --runtime pytorch");
}

}  // namespace breakeven::ops
