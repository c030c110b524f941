#include "model/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"

namespace breakeven::model {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMostHeaderBytes = 100'000'000;  // the format's own limit
constexpr const char* kFetchAgain = "the file is damaged: fetch or save it again";

struct DtypeBits {
  const char* name;
  std::size_t bits;
};
constexpr std::array<DtypeBits, 22> kDtypes = {{
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},
    {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E5M2FNUZ", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E8M0", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},        {"BF16", 16},
    {"I32", 32},    {"U32", 32},    {"F32", 32},    {"C64", 64},        {"F64", 64},
    {"I64", 64},    {"U64", 64},
}};

tl::unexpected<Error> broken(const char* cause, const std::string& where, const std::string& what,
                             const char* hint = kFetchAgain) {
  return fail(fmt::format("safetensors/{}", cause), fmt::format("{}: {}", where, what), hint);
}

Result<std::string_view> read_header_text(std::span<const std::byte> bytes,
                                          const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (is_git_lfs_pointer(text)) {
    return broken("lfs-pointer", where, "this is only Git LFS's pointer to the file",
                  "run git lfs pull in the model's folder, or breakeven fetch");
  }
  if (bytes.size() < kLengthBytes) {
    return broken("too-short", where,
                  fmt::format("{} bytes are no safetensors file", bytes.size()));
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);  // x86-64 is little endian, as the format is
  if (length < 2) {
    return broken("header-too-small", where, fmt::format("its header has {} bytes", length));
  }
  if (length > kMostHeaderBytes) {
    return broken("header-too-large", where,
                  fmt::format("its header would have {} bytes, and the format allows {}", length,
                              kMostHeaderBytes),
                  "this is no safetensors file, or a damaged one: fetch or save it again");
  }
  if (length > bytes.size() - kLengthBytes) {
    return broken("header-truncated", where,
                  fmt::format("the file of {} bytes ends within its header of {} bytes",
                              bytes.size(), length));
  }
  const std::string_view header = text.substr(kLengthBytes, length);
  if (!is_valid_utf8(header)) {
    return broken("header-utf8", where, "its header is not UTF-8");
  }
  return header;
}

Result<std::vector<std::size_t>> read_shape(const std::string& name, JsonValue value,
                                            const std::string& where) {
  if (!value.is_list()) {
    return broken("shape", where, fmt::format("the shape of {} is not a list", name));
  }
  std::vector<std::size_t> shape;
  for (const JsonValue each : value.list()) {
    const auto dimension = each.count();
    if (!dimension) {
      return broken("shape", where,
                    fmt::format("the shape of {} holds {}, which is not a whole number from 0 on",
                                name, each.shown()));
    }
    shape.push_back(*dimension);
  }
  return shape;
}

Result<std::pair<std::size_t, std::size_t>> read_offsets(const std::string& name, JsonValue value,
                                                         const std::string& where) {
  const std::vector<JsonValue> pair = value.list();
  const auto begin = pair.size() == 2 ? pair[0].count() : std::nullopt;
  const auto end = pair.size() == 2 ? pair[1].count() : std::nullopt;
  if (!begin || !end || *begin > *end) {
    return broken(
        "offsets", where,
        fmt::format("the data_offsets of {} are {}, not [begin, end]", name, value.shown()));
  }
  return std::pair<std::size_t, std::size_t>(*begin, *end);
}

// dtype and shape say how many bytes it takes; the offsets have to agree.
Result<void> check_size(const TensorEntry& entry, const std::string& where) {
  const auto* known = std::find_if(kDtypes.begin(), kDtypes.end(),
                                   [&](const DtypeBits& each) { return entry.dtype == each.name; });
  if (known == kDtypes.end()) {
    return broken("dtype", where,
                  fmt::format("{} has the unknown dtype {}", entry.name, entry.dtype));
  }
  std::size_t bits = known->bits;
  for (const std::size_t dimension : entry.shape) {
    if (__builtin_mul_overflow(bits, dimension, &bits)) {
      return broken("overflow", where,
                    fmt::format("{} of shape {} is larger than any memory", entry.name,
                                shape_text(entry.shape)));
    }
  }
  if (bits % 8 != 0 || bits / 8 != entry.end - entry.begin) {
    return broken(
        "size", where,
        fmt::format("{} of shape {} and dtype {} takes {} bits, but its data_offsets hold "
                    "{} bytes",
                    entry.name, shape_text(entry.shape), entry.dtype, bits,
                    entry.end - entry.begin));
  }
  return {};
}

Result<TensorEntry> read_entry(std::string_view name, JsonValue value, const std::string& where) {
  TensorEntry entry;
  entry.name = name;
  if (!value.is_object()) {
    return broken("field", where, fmt::format("the entry {} is not an object", name));
  }
  bool has_dtype = false;
  bool has_shape = false;
  bool has_offsets = false;
  for (const auto& [key, field] : value.object()) {
    if (key == "dtype" && !has_dtype && field.text()) {
      entry.dtype = *field.text();
      has_dtype = true;
    } else if (key == "shape" && !has_shape) {
      BREAKEVEN_TRY(entry.shape, read_shape(entry.name, field, where));
      has_shape = true;
    } else if (key == "data_offsets" && !has_offsets) {
      BREAKEVEN_TRY(const auto offsets, read_offsets(entry.name, field, where));
      std::tie(entry.begin, entry.end) = offsets;
      has_offsets = true;
    } else {
      return broken("field", where,
                    fmt::format("the entry {} has an unexpected field {}", name, key));
    }
  }
  if (!has_dtype || !has_shape || !has_offsets) {
    return broken("field", where,
                  fmt::format("the entry {} has no {}", name,
                              !has_dtype   ? "dtype"
                              : !has_shape ? "shape"
                                           : "data_offsets"));
  }
  BREAKEVEN_TRY_VOID(check_size(entry, where));
  return entry;
}

Result<void> check_metadata(JsonValue value, const std::string& where) {
  if (!value.is_object()) return broken("metadata", where, "its __metadata__ is not an object");
  for (const auto& [key, text] : value.object()) {
    if (!text.text()) {
      return broken("metadata", where, fmt::format("its __metadata__ {} is not a text", key));
    }
  }
  return {};
}

// Sorts the entries by their data, which has to fill the file without gap or overlap.
Result<void> check_layout(std::vector<TensorEntry>& entries, std::size_t data_bytes,
                          const std::string& where) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::size_t filled = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin != filled) {
      return entry.begin < filled
                 ? broken(
                       "overlap", where,
                       fmt::format("{} starts at byte {} of the data, where another tensor still "
                                   "is",
                                   entry.name, entry.begin))
                 : broken("gap", where,
                          fmt::format("bytes {} to {} of the data belong to no tensor", filled,
                                      entry.begin));
    }
    filled = entry.end;
  }
  if (filled > data_bytes) {
    return broken(
        "truncated", where,
        fmt::format("its tensors take {} bytes, and the file has {}", filled, data_bytes));
  }
  if (filled < data_bytes) {
    return broken("trailing-bytes", where,
                  fmt::format("{} bytes follow the last tensor", data_bytes - filled));
  }
  return {};
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> bytes,
                                            const std::string& where) {
  BREAKEVEN_TRY(const std::string_view text, read_header_text(bytes, where));
  const auto document =
      JsonDocument::parse(text, {where, "safetensors/header-json", "", kFetchAgain});
  if (!document) return tl::unexpected<Error>(document.error());
  if (!document->value().is_object() || text.front() != '{') {
    return broken("header-json", where, "its header is no JSON object: it has to start with {");
  }
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + text.size();
  std::unordered_set<std::string_view> seen;
  for (const auto& [name, value] : document->value().object()) {
    if (!seen.insert(name).second) {
      return broken("duplicate-name", where, fmt::format("it holds {} twice", name));
    }
    if (name == "__metadata__") {
      BREAKEVEN_TRY_VOID(check_metadata(value, where));
      continue;
    }
    BREAKEVEN_TRY(TensorEntry entry, read_entry(name, value, where));
    header.tensors.push_back(std::move(entry));
  }
  BREAKEVEN_TRY_VOID(check_layout(header.tensors, bytes.size() - header.data_begin, where));
  return header;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  BREAKEVEN_TRY(MappedFile file, MappedFile::open(path));
  BREAKEVEN_TRY(SafetensorsHeader header, parse_safetensors(file.bytes(), path));
  return SafetensorsFile(std::move(file), std::move(header));
}

void convert_f16(std::span<const std::byte> from, std::span<float> to) {
  constexpr std::uint32_t kExponentShift = 127 - 15;
  for (std::size_t i = 0; i < to.size(); ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, from.data() + i * sizeof(half), sizeof(half));
    const std::uint32_t sign = (half & 0x8000U) << 16U;
    const std::uint32_t magnitude = half & 0x7FFFU;
    const std::uint32_t shifted = magnitude << 13U;
    const std::uint32_t normal = shifted + (kExponentShift << 23U);
    // 2^-14 + the fraction as a normal float, less 2^-14: exact, and no subnormal float is touched,
    // so it holds whatever the thread's flush-to-zero mode is.
    const std::uint32_t subnormal =
        std::bit_cast<std::uint32_t>(std::bit_cast<float>(shifted + 0x38800000U) - 0x1p-14F);
    const std::uint32_t special = shifted | 0x7F800000U;  // infinity and NaN keep their payload
    const std::uint32_t value = magnitude < 0x0400U   ? subnormal
                                : magnitude < 0x7C00U ? normal
                                                      : special;
    to[i] = std::bit_cast<float>(value | sign);
  }
}

void convert_bf16(std::span<const std::byte> from, std::span<float> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    std::uint16_t upper = 0;
    std::memcpy(&upper, from.data() + i * sizeof(upper), sizeof(upper));
    to[i] = std::bit_cast<float>(std::uint32_t{upper} << 16U);
  }
}

std::string shape_text(std::span<const std::size_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace breakeven::model
