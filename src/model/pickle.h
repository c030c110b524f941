// The pickle inside of a file of torch.save: a state dict, read without running anything. Of the
// pickle machine (protocols 2 to 5) only the instructions are known that a dict of tensors needs,
// and of Python only the names that make up a tensor; all else is refused by its name. Errors, one
// for each cause:
//   pickle/too-large    more than 4 MB without the tensors' data
//   pickle/truncated    it ends within an instruction, or without STOP
//   pickle/instruction  one that no state dict needs; or one that finds other values than it takes
//   pickle/name         something else than a tensor would have to be made
//   pickle/not-a-state-dict  its value is no dict of tensors
//   pickle/tensor       a tensor that reaches beyond its storage, or has an impossible shape
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace breakeven::model {

// One tensor: a view into a storage, which is a member of the zip file.
struct PickledTensor {
  std::string name;
  std::string dtype;                 // as safetensors calls it: "F32", "BF16" ...
  std::vector<std::size_t> shape;    // {} for a scalar
  std::vector<std::size_t> strides;  // elements, one each dimension
  std::size_t offset = 0;            // of the first element, in elements of the storage
  std::string storage;               // "0", "1", ...: data/<storage>
  std::size_t storage_bytes = 0;     // that it has to have; the tensor lies within
  std::size_t element_bytes = 0;
  std::size_t count() const;  // elements
  bool is_contiguous() const;
};

// The tensors in the order of the dict; of two under one name the last. Entries that are numbers,
// texts or None are left out. `where` names the file in errors.
Result<std::vector<PickledTensor>> read_state_dict(std::span<const std::byte> pickle,
                                                   const std::string& where);

}  // namespace breakeven::model
