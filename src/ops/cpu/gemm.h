// The library GEMM: c[rows, columns] = a[rows, depth] * weights, oneDNN's matmul with packed
// weights. Row counts are buckets: oneDNN 2.6 falls to a slow path when the number of rows is left
// open until run time, so every bucket's primitive is made beforehand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace breakeven::ops::cpu {

using DataType = dnnl::memory::data_type;

const dnnl::engine& cpu_engine();

struct GemmSpec {
  std::size_t depth = 0;
  std::size_t columns = 0;
  DataType in = DataType::f32;
  DataType weights = DataType::f32;
  DataType out = DataType::f32;
  bool bias = false;        // adds a float a column
  bool accumulate = false;  // c += instead of c =
};

// A weight matrix in the layout that the primitives of one Gemm ask for.
struct PackedMatrix {
  dnnl::memory memory;  // views `data`, which an arena owns
};

class Gemm {
 public:
  // One primitive for each bucket. Errors: ops/unsupported when oneDNN has only its plain loops for
  // this shape and type, or refuses it.
  static Result<std::shared_ptr<const Gemm>> make(const GemmSpec& spec,
                                                  std::span<const std::size_t> buckets);

  const GemmSpec& spec() const { return spec_; }
  std::span<const std::size_t> buckets() const { return buckets_; }
  std::size_t weight_bytes() const { return weights_.get_size(); }
  std::size_t scratch_bytes() const { return scratch_bytes_; }
  const std::string& implementation() const { return implementation_; }

  // Lays `from` [columns, depth] (row-major; float, or s8 when the weights are s8) out at `to`,
  // which has weight_bytes() bytes.
  PackedMatrix pack(const void* from, void* to) const;

 private:
  friend class GemmCaller;
  GemmSpec spec_;
  std::vector<std::size_t> buckets_;
  std::vector<dnnl::matmul::primitive_desc> descriptions_;
  std::vector<dnnl::matmul> primitives_;
  dnnl::memory::desc weights_;
  std::size_t scratch_bytes_ = 0;
  std::string implementation_;
};

// One thread's way to call a Gemm: it owns the handles that oneDNN wants for each call, so that
// calling allocates nothing here.
class GemmCaller {
 public:
  explicit GemmCaller(std::shared_ptr<const Gemm> gemm);
  std::size_t columns() const { return gemm_->spec().columns; }

  // `bucket` is an index into buckets(); a and c have that many rows. `bias` is null unless the
  // spec has one. `scratch` has scratch_bytes().
  void run(std::size_t bucket, const void* a, const PackedMatrix& weights, void* c,
           const float* bias, void* scratch);

 private:
  struct Handles {
    dnnl::memory a, c, bias, scratch;
  };
  std::shared_ptr<const Gemm> gemm_;
  dnnl::stream stream_;
  std::vector<Handles> handles_;
};

}  // namespace breakeven::ops::cpu
