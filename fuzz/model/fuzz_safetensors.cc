// Any bytes as a safetensors file: an error or a header whose tensors lie within the file, side by
// side, each as large as its shape says.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using breakeven::model::TensorEntry;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto header = breakeven::model::parse_safetensors(bytes, "fuzz");
  if (!header) {
    BREAKEVEN_CHECK(header.error().code.starts_with("safetensors/"));
    BREAKEVEN_CHECK(!header.error().message.empty());
    return 0;
  }
  std::size_t filled = 0;
  for (const TensorEntry& entry : header->tensors) {
    BREAKEVEN_CHECK(entry.begin == filled && entry.end >= entry.begin);
    filled = entry.end;
    const std::size_t value_bytes = entry.dtype == "F32"                            ? 4
                                    : entry.dtype == "F16" || entry.dtype == "BF16" ? 2
                                                                                    : 0;
    if (value_bytes == 0) continue;
    std::size_t count = 1;
    for (const std::size_t dimension : entry.shape) count *= dimension;
    BREAKEVEN_CHECK(count * value_bytes == entry.end - entry.begin);
    std::vector<float> values(count);
    const auto tensor = bytes.subspan(header->data_begin + entry.begin, entry.end - entry.begin);
    if (entry.dtype == "F16") breakeven::model::convert_f16(tensor, values);
    if (entry.dtype == "BF16") breakeven::model::convert_bf16(tensor, values);
  }
  BREAKEVEN_CHECK(header->data_begin + filled == size);
  return 0;
}
