// Any bytes as pytorch_model.bin: an error that names its cause, or storages that lie within the
// file and are as large as their tensors say, deflated ones too.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "model/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace model = breakeven::model;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto header = model::parse_torch(bytes, "fuzz");
  if (!header) {
    BREAKEVEN_CHECK(header.error().message.starts_with("fuzz: "));
    BREAKEVEN_CHECK(!header.error().hint.empty());
    return 0;
  }
  for (const model::PickledTensor& tensor : header->tensors) {
    const model::ZipMember& storage = header->storages.find(tensor.storage)->second;
    BREAKEVEN_CHECK(storage.size == tensor.storage_bytes);
    BREAKEVEN_CHECK(storage.data.data() >= bytes.data() &&
                    storage.data.data() + storage.data.size() <= bytes.data() + size);
    if (!storage.deflated) {
      BREAKEVEN_CHECK(storage.data.size() == storage.size);
    } else if (const auto inflated = model::inflate(storage, "fuzz")) {
      BREAKEVEN_CHECK(inflated->size() == storage.size);
    }
  }
  return 0;
}
