#include "ops/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "ops/cpu/backend.h"
#include "ops/cpu/isa.h"

namespace breakeven::ops {

namespace {

std::vector<Precision> precisions_of(InstructionSet set) {
  if (has_amx(set)) return {Precision::fp32, Precision::fp32x3, Precision::bf16, Precision::int8};
  if (has_bf16(set)) return {Precision::fp32, Precision::bf16, Precision::int8};
  return {Precision::fp32, Precision::int8};
}

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options) {
  BREAKEVEN_TRY(const InstructionSet set, cpu::choose_set(options.instruction_set));
  const std::vector<Precision> fast = precisions_of(set);
  if (options.precision == Precision::fp32x3 && !has_amx(set)) {
    return fail("ops/unsupported",
                fmt::format("fp32x3 needs AMX tiles with bf16 products, which {} does not have",
                            to_string(set)),
                "choose fp32");
  }
  if (std::find(fast.begin(), fast.end(), options.precision) == fast.end()) {
    std::string known;
    for (const Precision p : fast) known += (known.empty() ? "" : ", ") + std::string(to_string(p));
    return fail(
        "ops/unsupported",
        fmt::format("{} would be emulated on {}", to_string(options.precision), to_string(set)),
        "choose from " + known);
  }
  return std::make_unique<cpu::CpuBackend>(cpu::formats_for(options.precision, set));
}

Result<std::string> cpu_instruction_set(std::string_view name) {
  BREAKEVEN_TRY(const InstructionSet set, cpu::choose_set(name));
  return std::string(to_string(set));
}

std::vector<Precision> cpu_precisions(std::string_view instruction_set) {
  const Result<InstructionSet> set = cpu::choose_set(instruction_set);
  return set ? precisions_of(*set) : std::vector<Precision>{};
}

namespace cpu {

BackendInfo CpuBackend::info() const {
  return {"cpu", std::string(to_string(formats_.set)), formats_.precision};
}

Result<std::shared_ptr<const PackedModel>> CpuBackend::pack(const EncoderWeights& weights) {
  BREAKEVEN_TRY(auto model, CpuModel::pack(weights, formats_));
  return std::shared_ptr<const PackedModel>(std::move(model));
}

std::size_t CpuBackend::lane_bytes(const PackedModel& model, const LaneLimits& limits) const {
  return CpuLane::bytes(static_cast<const CpuModel&>(model), limits);
}

Result<std::unique_ptr<Lane>> CpuBackend::make_lane(std::shared_ptr<const PackedModel> model,
                                                    const LaneLimits& limits) {
  BREAKEVEN_TRY(auto lane,
                CpuLane::make(std::static_pointer_cast<const CpuModel>(std::move(model)), limits));
  return std::unique_ptr<Lane>(std::move(lane));
}

void CpuBackend::upload(Lane& lane, const Batch& batch) {
  cpu_lane(lane).upload(batch);
}

// The caller is member 0 of the team.
void CpuBackend::run(Lane& /*lane*/, const std::function<void()>& body) {
  body();
}

std::span<const float> CpuBackend::wait(Lane& lane) {
  CpuLane& l = cpu_lane(lane);
  l.close();
  return {l.acts.logits, l.group.sequences * l.model().shape().labels};
}

void CpuBackend::tap(Lane& lane, Act act, std::span<float> out) {
  const CpuLane& l = cpu_lane(lane);
  const ModelShape& shape = l.model().shape();
  const bool context = act == Act::ctx || act == Act::ctx_cls;
  const std::size_t rows = act == Act::x || act == Act::ctx ? l.group.rows : l.group.sequences;
  BREAKEVEN_CHECK(out.size() == rows * shape.hidden, "size={} rows={} H={}", out.size(), rows,
                  shape.hidden);
  const void* from = act == Act::x       ? l.acts.x.stream
                     : act == Act::x_cls ? l.acts.x_cls.stream
                     : act == Act::ctx   ? l.acts.ctx
                                         : l.acts.ctx_cls;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < shape.hidden; ++c) {
      const std::size_t at = r * shape.hidden_padded + c;
      float& to = out[r * shape.hidden + c];
      if (context && formats_.bf16_attention) {
        to = from_bf16(static_cast<const Bf16*>(from)[at]);
      } else {
        to = static_cast<const float*>(from)[at];
      }
    }
  }
}

}  // namespace cpu
}  // namespace breakeven::ops
