#include "data/input.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "base/files.h"
#include "data/compression.h"
#include "data/file_kind.h"
#include "data/head_bytes.h"

namespace breakeven::data {
namespace {

constexpr int kMostLayers = 4;

// Takes compression off until none is left.
Result<std::unique_ptr<HeadBytes>> unpack(std::unique_ptr<ByteStream> packed,
                                          const std::string& disk_path, Input& input) {
  const std::string path = packed->name();
  for (int layer = 0;; ++layer) {
    auto bytes = std::make_unique<HeadBytes>(std::move(packed));
    BREAKEVEN_TRY(const std::string_view head, bytes->head());
    const Compression kind = compression_of(head, input.name);
    if (kind == Compression::none) {
      input.is_plain = layer == 0 && !disk_path.empty();
      return bytes;
    }
    if (layer == kMostLayers) {
      return fail("data/archive-corrupt",
                  fmt::format("{} is compressed more than {} times over", path, kMostLayers),
                  "unpack it first");
    }
    if (kind == Compression::zip) {
      BREAKEVEN_TRY(ZipMember member, open_zip(std::move(bytes), layer == 0 ? disk_path : ""));
      input.name = std::move(member.name);
      packed = std::move(member.bytes);
    } else {
      input.name = without_compression(input.name).value_or(input.name);
      packed = decompress(kind, std::move(bytes));
    }
  }
}

}  // namespace

Result<Input> open_input(const std::string& path, const std::optional<Encoding>& encoding) {
  BREAKEVEN_TRY(auto bytes, open_bytes(path));
  std::error_code error;
  const bool on_disk = path != "-" && std::filesystem::is_regular_file(path, error);
  return read_input(std::move(bytes), on_disk ? path : "", encoding);
}

Result<Input> read_input(std::unique_ptr<ByteStream> packed, const std::string& disk_path,
                         const std::optional<Encoding>& encoding) {
  Input input;
  input.name = packed->name();
  BREAKEVEN_TRY(std::unique_ptr<HeadBytes> bytes, unpack(std::move(packed), disk_path, input));
  BREAKEVEN_TRY(const std::string_view head, bytes->head());
  if (auto bare = without_compression(input.name)) {
    input.name = *std::move(bare);
    input.assumption = fmt::format(
        "{} is not compressed, though its name says so; it is read as it is", bytes->name());
  }
  input.is_tar = is_tar(head) || (!head.empty() && input.name.ends_with(".tar"));
  if (!input.is_tar) {
    const std::string& name = bytes->name();
    BREAKEVEN_TRY_VOID(refuse_known_binary(head, name));
    BREAKEVEN_TRY(const Encoding chosen, choose_encoding(encoding, head, name));
    if (!encoding && !marked_encoding(head)) BREAKEVEN_TRY_VOID(refuse_unknown_binary(head, name));
    input.is_plain = input.is_plain && chosen == Encoding::utf8;
    input.bytes = decode(chosen, std::move(bytes));
  } else {
    input.bytes = std::move(bytes);
  }
  return input;
}

}  // namespace breakeven::data
