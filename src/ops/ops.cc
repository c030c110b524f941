#include "ops/ops.h"

#include <fmt/format.h>

#include <utility>

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

void write_positions(const Batch& batch, std::int32_t uncounted_id, std::span<std::int32_t> to) {
  for (std::size_t b = 0; b < batch.sequences(); ++b) {
    std::int32_t last = uncounted_id;
    for (auto t = static_cast<std::size_t>(batch.cu_seqlens[b]);
         std::cmp_less(t, batch.cu_seqlens[b + 1]); ++t) {
      to[t] = uncounted_id >= 0 && batch.ids[t] == uncounted_id ? uncounted_id : ++last;
    }
  }
}

}  // namespace breakeven::ops
