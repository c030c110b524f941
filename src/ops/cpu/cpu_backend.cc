#include "ops/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/check.h"
#include "ops/cpu/backend.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/openmp.h"

namespace breakeven::ops {

namespace {

// Own kernels, or oneDNN's?
Result<bool> choose_gemm(const CpuOptions& options) {
  const char* variable = std::getenv("BREAKEVEN_CPU_GEMM");
  const bool asked = !options.gemm.empty();
  const std::string wanted = asked ? options.gemm : variable == nullptr ? "" : variable;
  if (wanted.empty() || wanted == "own") return true;
  if (wanted != "onednn") {
    return fail("ops/gemm", fmt::format("'{}' is not a kind of GEMM", wanted),
                "choose own or onednn");
  }
  if (options.precision != Precision::fp32x3) return false;
  // The variable is for every backend of a process; the option means this one.
  if (asked) return fail("ops/gemm", "oneDNN has no GEMM for fp32x3", "choose own");
  return true;
}

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options) {
  BREAKEVEN_TRY(const cpu::InstructionSet set, cpu::claim_set(options.instruction_set));
  const std::vector<Precision> fast = cpu_precisions();
  if (options.precision == Precision::fp32x3 && !cpu::has_amx(set)) {
    return fail("ops/unsupported",
                fmt::format("fp32x3 needs AMX tiles with bf16 products, which {} does not have",
                            cpu::to_string(set)),
                "choose fp32");
  }
  if (std::find(fast.begin(), fast.end(), options.precision) == fast.end()) {
    std::string known;
    for (const Precision p : fast) known += (known.empty() ? "" : ", ") + std::string(to_string(p));
    return fail("ops/unsupported",
                fmt::format("{} would be emulated on {}", to_string(options.precision),
                            cpu::to_string(set)),
                "choose from " + known);
  }
  BREAKEVEN_TRY(const bool own_gemm, choose_gemm(options));
  return std::make_unique<cpu::CpuBackend>(cpu::formats_for(options.precision, set, own_gemm));
}

std::vector<Precision> cpu_precisions() {
  const Result<cpu::InstructionSet> set = cpu::current_set();
  if (!set) return {};
  if (cpu::has_amx(*set)) {
    return {Precision::fp32, Precision::fp32x3, Precision::bf16, Precision::int8};
  }
  if (cpu::has_bf16(*set)) return {Precision::fp32, Precision::bf16, Precision::int8};
  return {Precision::fp32, Precision::int8};
}

std::string cpu_instruction_set() {
  const Result<cpu::InstructionSet> set = cpu::current_set();
  return set ? std::string(cpu::to_string(*set)) : std::string();
}

std::vector<std::string> cpu_instruction_sets() {
  std::vector<std::string> names;
  for (const cpu::InstructionSet set : cpu::runnable_sets()) names.emplace_back(to_string(set));
  return names;
}

namespace cpu {
namespace {

CpuLane& own(Lane& lane) {
  return static_cast<CpuLane&>(lane);
}

}  // namespace

BackendInfo CpuBackend::info() const {
  return {"cpu", std::string(to_string(formats_.set)), formats_.precision,
          formats_.own_gemm ? "own" : "onednn"};
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
  own(lane).upload(batch);
}

// The caller is member 0 of the team. oneDNN's own threads are OpenMP's, whose number is a setting
// of each thread: one here, and the caller's own again afterwards.
void CpuBackend::run(Lane& /*lane*/, const std::function<void()>& body) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  body();
  omp_set_num_threads(before);
}

std::span<const float> CpuBackend::wait(Lane& lane) {
  const CpuLane& l = own(lane);
  return {l.logits, l.sequences() * l.model().shape().labels};
}

void CpuBackend::tap(Lane& lane, Act act, std::span<float> out) {
  const CpuLane& l = own(lane);
  const ModelShape& shape = l.model().shape();
  const bool context = act == Act::ctx || act == Act::ctx_cls;
  const std::size_t rows = act == Act::x || act == Act::ctx ? l.rows() : l.sequences();
  BREAKEVEN_CHECK(out.size() == rows * shape.hidden, "size={} rows={} H={}", out.size(), rows,
                  shape.hidden);
  const void* from = act == Act::x       ? l.x.f32
                     : act == Act::x_cls ? l.x_cls.f32
                     : act == Act::ctx   ? l.ctx
                                         : l.ctx_cls;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < shape.hidden; ++c) {
      const std::size_t at = r * shape.hidden_padded + c;
      float& to = out[r * shape.hidden + c];
      if (context && formats_.bf16_context) {
        const auto half = static_cast<const Bf16*>(from)[at];
        to = std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
      } else {
        to = static_cast<const float*>(from)[at];
      }
    }
  }
}

}  // namespace cpu
}  // namespace breakeven::ops
