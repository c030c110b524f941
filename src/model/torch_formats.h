// What torch calls its number formats, as pickles name them.
#pragma once

#include <cstdint>
#include <string_view>

namespace breakeven::model {

struct TorchFormat {
  std::string_view name;   // behind "torch."
  std::string_view dtype;  // as safetensors calls it
  std::uint64_t bytes;     // an element
};

// "torch.FloatStorage" and "torch.float32": F32, 4 bytes. nullptr for what is none.
const TorchFormat* find_torch_storage(std::string_view name);
const TorchFormat* find_torch_dtype(std::string_view name);

}  // namespace breakeven::model
