#include "ops/ops.h"

#include <fmt/format.h>

namespace breakeven::ops {

std::string_view to_string(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return "fp32";
    case Precision::bf16:
      return "bf16";
    case Precision::fp16:
      return "fp16";
    case Precision::int8:
      return "int8";
    case Precision::fp32x3:
      return "fp32x3";
    case Precision::fp8:
      return "fp8";
  }
  return "unknown";
}

Result<Precision> parse_precision(std::string_view text) {
  for (const Precision p : {Precision::fp32, Precision::fp32x3, Precision::bf16, Precision::fp16,
                            Precision::int8, Precision::fp8}) {
    if (text == to_string(p)) return p;
  }
  return fail("precision/unknown", fmt::format("'{}' is not a precision", text),
              "choose from fp32, fp32x3, bf16, fp16, int8, fp8");
}

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
