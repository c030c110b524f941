// The op contract on a Runtime: which kernels and which products make up each block op.
#pragma once

#include <memory>

#include "ops/cuda/gemm_tuner.h"
#include "ops/cuda/lane.h"
#include "ops/cuda/model_shape.h"
#include "ops/cuda/runtime.h"
#include "ops/cuda/switches.h"
#include "ops/ops.h"

namespace breakeven::ops::cuda {

struct BlocksOptions {
  KernelChoice kernels;  // which fast kernels may run; those that do not fit a model never do
  Switches switches{};   // tests that look between two ops have no graphs
  std::string note{};    // why kernels are plain, for the record
  // Of the device, shared by its backends; null: the library's best guesses.
  std::shared_ptr<GemmTuner> tuner{};
};

// For what cuda_precisions knows. The runtime is shared by all that the backend makes.
std::unique_ptr<Backend> make_blocks(std::shared_ptr<Runtime> runtime, Precision precision,
                                     const BlocksOptions& options);

}  // namespace breakeven::ops::cuda
