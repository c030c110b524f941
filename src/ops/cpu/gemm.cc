#include "ops/cpu/gemm.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace breakeven::ops::cpu {
namespace {

using Tag = dnnl::memory::format_tag;

dnnl::memory::desc matrix(std::size_t rows, std::size_t columns, DataType type, Tag tag) {
  return {
      {static_cast<dnnl::memory::dim>(rows), static_cast<dnnl::memory::dim>(columns)}, type, tag};
}

dnnl::matmul::primitive_desc describe(const GemmSpec& spec, std::size_t rows,
                                      const dnnl::memory::desc& b) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (spec.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  const auto a = matrix(rows, spec.depth, spec.in, Tag::ab);
  const auto c = matrix(rows, spec.columns, spec.out, Tag::ab);
  const auto bias = matrix(1, spec.columns, DataType::f32, Tag::ab);
  return spec.bias
             ? dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, bias, c), attributes,
                                            cpu_engine())
             : dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), attributes, cpu_engine());
}

}  // namespace

const dnnl::engine& cpu_engine() {
  static const dnnl::engine kEngine(dnnl::engine::kind::cpu, 0);
  return kEngine;
}

Result<std::shared_ptr<const Gemm>> Gemm::make(const GemmSpec& spec,
                                               std::span<const std::size_t> buckets) {
  auto gemm = std::make_shared<Gemm>();
  gemm->spec_ = spec;
  gemm->buckets_.assign(buckets.begin(), buckets.end());
  // The largest bucket chooses the weights' layout, the others must take it.
  gemm->weights_ = matrix(spec.depth, spec.columns, spec.weights, Tag::any);
  for (auto bucket = buckets.rbegin(); bucket != buckets.rend(); ++bucket) {
    const std::string shape =
        fmt::format("[{} x {}] x [{} x {}]", *bucket, spec.depth, spec.depth, spec.columns);
    try {
      const auto description = describe(spec, *bucket, gemm->weights_);
      gemm->implementation_ = description.impl_info_str();
      if (gemm->implementation_.find("ref") != std::string::npos) {
        return fail("ops/unsupported",
                    fmt::format("oneDNN has only plain loops ('{}') for {} here",
                                gemm->implementation_, shape),
                    "choose fp32");
      }
      gemm->weights_ = description.weights_desc();
      gemm->scratch_bytes_ =
          std::max(gemm->scratch_bytes_, description.scratchpad_desc().get_size());
      gemm->descriptions_.insert(gemm->descriptions_.begin(), description);
      gemm->primitives_.insert(gemm->primitives_.begin(), dnnl::matmul(description));
    } catch (const dnnl::error& error) {
      return fail("ops/unsupported", fmt::format("oneDNN refused {}: {}", shape, error.what()),
                  "choose fp32");
    }
  }
  return std::shared_ptr<const Gemm>(std::move(gemm));
}

PackedMatrix Gemm::pack(const void* from, void* to) const {
  const bool s8 = spec_.weights == DataType::s8;
  const auto plain = matrix(spec_.depth, spec_.columns, s8 ? DataType::s8 : DataType::f32, Tag::ba);
  // oneDNN's interface is not const-correct; the source of a reorder is only read.
  dnnl::memory source(plain, cpu_engine(), const_cast<void*>(from));
  PackedMatrix packed{dnnl::memory(weights_, cpu_engine(), to)};
  dnnl::stream stream(cpu_engine());
  dnnl::reorder(source, packed.memory).execute(stream, source, packed.memory);
  stream.wait();
  return packed;
}

GemmCaller::GemmCaller(std::shared_ptr<const Gemm> gemm)
    : gemm_(std::move(gemm)), stream_(cpu_engine()) {
  for (const auto& description : gemm_->descriptions_) {
    const auto none = static_cast<void*>(nullptr);
    handles_.push_back(
        {dnnl::memory(description.src_desc(), cpu_engine(), none),
         dnnl::memory(description.dst_desc(), cpu_engine(), none),
         dnnl::memory(matrix(1, gemm_->spec_.columns, DataType::f32, Tag::ab), cpu_engine(), none),
         dnnl::memory(description.scratchpad_desc(), cpu_engine(), none)});
  }
}

void GemmCaller::run(std::size_t bucket, const void* a, const PackedMatrix& weights, void* c,
                     const float* bias, void* scratch) {
  const Handles& h = handles_[bucket];
  const auto bind = [](const dnnl::memory& memory, const void* data) {
    return dnnl_memory_set_data_handle(memory.get(), const_cast<void*>(data));
  };
  bool ok = bind(h.a, a) == dnnl_success && bind(h.c, c) == dnnl_success &&
            bind(h.scratch, scratch) == dnnl_success;
  std::array<dnnl_exec_arg_t, 5> args{{{DNNL_ARG_SRC, h.a.get()},
                                       {DNNL_ARG_WEIGHTS, weights.memory.get()},
                                       {DNNL_ARG_DST, h.c.get()},
                                       {DNNL_ARG_SCRATCHPAD, h.scratch.get()},
                                       {DNNL_ARG_BIAS, h.bias.get()}}};
  if (bias != nullptr) ok = ok && bind(h.bias, bias) == dnnl_success;
  const int count = bias != nullptr ? 5 : 4;
  // The C interface: the C++ one builds a hash map and a vector for every call.
  ok = ok && dnnl_primitive_execute(gemm_->primitives_[bucket].get(), stream_.get(), count,
                                    args.data()) == dnnl_success;
  BREAKEVEN_CHECK(ok, "rows={} columns={}", gemm_->buckets_[bucket], gemm_->spec_.columns);
}

}  // namespace breakeven::ops::cpu
