#include "model/torch_formats.h"

#include <algorithm>
#include <span>

namespace breakeven::model {
namespace {

constexpr TorchFormat kStorages[] = {
    {"DoubleStorage", "F64", 8},
    {"FloatStorage", "F32", 4},
    {"HalfStorage", "F16", 2},
    {"BFloat16Storage", "BF16", 2},
    {"LongStorage", "I64", 8},
    {"IntStorage", "I32", 4},
    {"ShortStorage", "I16", 2},
    {"CharStorage", "I8", 1},
    {"ByteStorage", "U8", 1},
    {"BoolStorage", "BOOL", 1},
    {"ComplexFloatStorage", "C64", 8},
    {"ComplexDoubleStorage", "C128", 16},
    {"storage.UntypedStorage", "U8", 1},
};
constexpr TorchFormat kDtypes[] = {
    {"float64", "F64", 8},
    {"float32", "F32", 4},
    {"float16", "F16", 2},
    {"bfloat16", "BF16", 2},
    {"int64", "I64", 8},
    {"int32", "I32", 4},
    {"int16", "I16", 2},
    {"int8", "I8", 1},
    {"uint64", "U64", 8},
    {"uint32", "U32", 4},
    {"uint16", "U16", 2},
    {"uint8", "U8", 1},
    {"bool", "BOOL", 1},
    {"complex64", "C64", 8},
    {"complex128", "C128", 16},
    {"float8_e4m3fn", "F8_E4M3", 1},
    {"float8_e5m2", "F8_E5M2", 1},
    {"float8_e4m3fnuz", "F8_E4M3FNUZ", 1},
    {"float8_e5m2fnuz", "F8_E5M2FNUZ", 1},
};

const TorchFormat* find_format(std::span<const TorchFormat> formats, std::string_view name) {
  constexpr std::string_view kModule = "torch.";
  if (!name.starts_with(kModule)) return nullptr;
  name.remove_prefix(kModule.size());
  const auto found = std::find_if(formats.begin(), formats.end(),
                                  [name](const TorchFormat& each) { return each.name == name; });
  return found == formats.end() ? nullptr : &*found;
}

}  // namespace

const TorchFormat* find_torch_storage(std::string_view name) {
  return find_format(kStorages, name);
}

const TorchFormat* find_torch_dtype(std::string_view name) {
  return find_format(kDtypes, name);
}

}  // namespace breakeven::model
