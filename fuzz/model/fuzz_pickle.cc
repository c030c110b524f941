// Any bytes as the pickle of a state dict: an error that names its cause, or tensors that lie
// within their storages.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "model/pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using breakeven::model::PickledTensor;
  const auto tensors =
      breakeven::model::read_state_dict(std::as_bytes(std::span(data, size)), "fuzz");
  if (!tensors) {
    BREAKEVEN_CHECK(tensors.error().code.starts_with("pickle/"));
    BREAKEVEN_CHECK(tensors.error().message.starts_with("fuzz: "));
    return 0;
  }
  BREAKEVEN_CHECK(!tensors->empty());
  for (const PickledTensor& tensor : *tensors) {
    BREAKEVEN_CHECK(tensor.shape.size() == tensor.strides.size() && tensor.element_bytes > 0);
    if (tensor.count() == 0) continue;
    std::size_t last = tensor.offset;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      last += (tensor.shape[i] - 1) * tensor.strides[i];
    }
    BREAKEVEN_CHECK(last < tensor.storage_bytes / tensor.element_bytes);
    if (tensor.is_contiguous()) BREAKEVEN_CHECK(tensor.count() <= last - tensor.offset + 1);
  }
  return 0;
}
