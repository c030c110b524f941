// Which files of a model's folder hold its weights, and what they hold, whatever their format.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace breakeven::model {

// One tensor of a file of weights.
struct StoredTensor {
  std::string name;
  std::string dtype;               // as safetensors calls it: "F32", "BF16" ...
  std::vector<std::size_t> shape;  // {} for a scalar
  // The values, one behind the other, little endian, aligned to nothing. They live as long as the
  // file. Errors: of a PyTorch file those of inflate().
  std::function<Result<std::span<const std::byte>>()> data;
};

struct WeightFile {
  std::string path;
  bool is_pickle = false;  // of torch.save; else safetensors
  std::vector<StoredTensor> tensors;
  std::span<const std::byte> bytes;  // of the whole file
  std::shared_ptr<void> owner;       // keeps all of it alive
};

// Why a folder without config.json or without weights has none, where its files tell (an adapter,
// llama.cpp's file): model/other-weights.
std::optional<Error> other_model(const std::string& folder);

// The weights of a model folder, as Transformers looks for them: model.safetensors, else the shards
// that model.safetensors.index.json names, in the order of their names, else pytorch_model.bin or
// its shards. Errors: model/no-weights, model/other-weights (TensorFlow's, Flax's,
// ONNX's, an adapter's or a variant's alone),
// those of safetensors.h and torch_file.h, and for the index: index/json, index/field, index/path
// (a shard outside the folder), index/shard-missing, index/duplicate (a tensor in two shards),
// index/disagrees (a tensor is not where the index says).
Result<std::vector<WeightFile>> open_weights(const std::string& folder);

}  // namespace breakeven::model
