#include "model/zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_set>

namespace breakeven::model {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kEndBytes = 22;         // of the record at the end, without its comment
constexpr std::size_t kMostComment = 0xFFFF;  // bytes
constexpr std::uint32_t kEndMark = 0x06054B50;
constexpr std::size_t kLocatorBytes = 20;  // zip64: where the larger record at the end is
constexpr std::uint32_t kLocatorMark = 0x07064B50;
constexpr std::size_t kWideEndBytes = 56;
constexpr std::uint32_t kWideEndMark = 0x06064B50;
constexpr std::size_t kEntryBytes = 46;  // of the directory, without name, extra field and comment
constexpr std::uint32_t kEntryMark = 0x02014B50;
constexpr std::size_t kLocalBytes = 30;  // before a member's data, without name and extra field
constexpr std::uint32_t kLocalMark = 0x04034B50;
constexpr std::uint16_t kStored = 0;
constexpr std::uint16_t kDeflated = 8;
// No deflate stream swells further: what claims more is made to fill memory.
constexpr std::uint64_t kMostSwelling = 1032;

tl::unexpected<Error> broken(const char* cause, const std::string& where, const std::string& what) {
  return fail(fmt::format("zip/{}", cause), fmt::format("{}: {}", where, what),
              "the file is damaged: fetch or save it again");
}

// Little endian, as the format is; at + sizeof(T) <= bytes.size().
template <class T>
T read(Bytes bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

bool has_mark(Bytes bytes, std::uint64_t at, std::size_t size, std::uint32_t mark) {
  return at <= bytes.size() && bytes.size() - at >= size && read<std::uint32_t>(bytes, at) == mark;
}

struct Directory {
  std::uint64_t begin = 0, size = 0, entries = 0;
};

std::optional<Directory> find_directory(Bytes bytes) {
  if (bytes.size() < kEndBytes) return std::nullopt;
  const std::size_t last = bytes.size() - kEndBytes;
  const std::size_t first = last > kMostComment ? last - kMostComment : 0;
  for (std::size_t at = last + 1; at-- > first;) {
    if (read<std::uint32_t>(bytes, at) != kEndMark) continue;
    Directory directory{read<std::uint32_t>(bytes, at + 16), read<std::uint32_t>(bytes, at + 12),
                        read<std::uint16_t>(bytes, at + 10)};
    const std::size_t locator = at - kLocatorBytes;
    if (at >= kLocatorBytes && has_mark(bytes, locator, kLocatorBytes, kLocatorMark)) {
      const auto wide = read<std::uint64_t>(bytes, locator + 8);
      if (!has_mark(bytes, wide, kWideEndBytes, kWideEndMark)) return std::nullopt;
      directory = {read<std::uint64_t>(bytes, wide + 48), read<std::uint64_t>(bytes, wide + 40),
                   read<std::uint64_t>(bytes, wide + 32)};
    }
    return directory;
  }
  return std::nullopt;
}

// Sizes and place of a member that 32 bits do not hold stand in an extra field, in this order and
// only those.
void read_wide_fields(Bytes extra, std::uint64_t& size, std::uint64_t& stored,
                      std::uint64_t& local) {
  constexpr std::uint16_t kWide = 1;
  constexpr std::uint32_t kElsewhere = 0xFFFFFFFF;
  while (extra.size() >= 4) {
    const auto kind = read<std::uint16_t>(extra, 0);
    const auto bytes = std::min<std::size_t>(read<std::uint16_t>(extra, 2), extra.size() - 4);
    if (kind == kWide) {
      Bytes values = extra.subspan(4, bytes);
      for (std::uint64_t* field : {&size, &stored, &local}) {
        if (*field != kElsewhere || values.size() < 8) continue;
        *field = read<std::uint64_t>(values, 0);
        values = values.subspan(8);
      }
      return;
    }
    extra = extra.subspan(4 + bytes);
  }
}

// The entry at the start of `entry`, and how many bytes it takes.
Result<std::size_t> read_entry(Bytes bytes, Bytes entry, const std::string& where, ZipMember& out) {
  if (!has_mark(entry, 0, kEntryBytes, kEntryMark)) {
    return broken("directory", where, "its zip directory ends within an entry");
  }
  const std::size_t name_bytes = read<std::uint16_t>(entry, 28);
  const std::size_t extra_bytes = read<std::uint16_t>(entry, 30);
  const std::size_t whole = kEntryBytes + name_bytes + extra_bytes + read<std::uint16_t>(entry, 32);
  if (whole > entry.size()) {
    return broken("directory", where, "its zip directory ends within an entry");
  }
  const auto* name = reinterpret_cast<const char*>(entry.data() + kEntryBytes);
  out.name = {name, name_bytes};
  if ((read<std::uint16_t>(entry, 8) & 1U) != 0) {
    return broken("encrypted", where, fmt::format("{} in it is encrypted", out.name));
  }
  const auto method = read<std::uint16_t>(entry, 10);
  if (method != kStored && method != kDeflated) {
    return broken("method", where,
                  fmt::format("{} in it is packed by method {}, and only stored and deflated "
                              "members can be read",
                              out.name, method));
  }
  out.deflated = method == kDeflated;
  std::uint64_t stored = read<std::uint32_t>(entry, 20);
  out.size = read<std::uint32_t>(entry, 24);
  std::uint64_t local = read<std::uint32_t>(entry, 42);
  read_wide_fields(entry.subspan(kEntryBytes + name_bytes, extra_bytes), out.size, stored, local);
  if (!has_mark(bytes, local, kLocalBytes, kLocalMark)) {
    return broken("directory", where, fmt::format("{} is not where its directory says", out.name));
  }
  const std::uint64_t begin = local + kLocalBytes + read<std::uint16_t>(bytes, local + 26) +
                              read<std::uint16_t>(bytes, local + 28);
  if (begin > bytes.size() || stored > bytes.size() - begin) {
    return broken("directory", where,
                  fmt::format("{} reaches beyond the end of the file", out.name));
  }
  if (out.deflated ? out.size / kMostSwelling > stored : out.size != stored) {
    return broken(
        "size", where,
        fmt::format("{} would have {} bytes of {} in the file", out.name, out.size, stored));
  }
  out.data = bytes.subspan(begin, stored);
  return whole;
}

}  // namespace

Result<std::vector<ZipMember>> read_zip(Bytes bytes, const std::string& where) {
  const auto directory = find_directory(bytes);
  if (!directory) {
    return broken("not-a-zip", where, "it has no zip directory at its end: it is cut off");
  }
  if (directory->begin > bytes.size() || directory->size > bytes.size() - directory->begin ||
      directory->entries > directory->size / kEntryBytes) {
    return broken("directory", where, "its zip directory lies outside of the file");
  }
  std::vector<ZipMember> members(directory->entries);
  std::unordered_set<std::string_view> names;
  Bytes rest = bytes.subspan(directory->begin, directory->size);
  for (ZipMember& member : members) {
    BREAKEVEN_TRY(const std::size_t taken, read_entry(bytes, rest, where, member));
    if (!names.insert(member.name).second) {
      return broken("duplicate-name", where, fmt::format("it holds {} twice", member.name));
    }
    rest = rest.subspan(taken);
  }
  return members;
}

Result<std::vector<std::byte>> inflate(const ZipMember& member, const std::string& where) {
  constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;  // zlib counts in 32 bits
  std::vector<std::byte> content(member.size);
  if (content.empty()) return content;
  z_stream stream{};
  int status = inflateInit2(&stream, -MAX_WBITS);  // a deflate stream alone
  Bytes left = member.data;
  std::size_t filled = 0;
  while (status == Z_OK) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(left.data()));
    stream.avail_in = static_cast<uInt>(std::min(left.size(), kMostAtOnce));
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + filled);
    stream.avail_out = static_cast<uInt>(std::min(content.size() - filled, kMostAtOnce));
    const uInt room = stream.avail_out;
    const uInt given = stream.avail_in;
    status = ::inflate(&stream, Z_NO_FLUSH);
    left = left.subspan(given - stream.avail_in);
    filled += room - stream.avail_out;
  }
  inflateEnd(&stream);
  if (status == Z_STREAM_END && filled == content.size()) return content;
  return broken("size", where,
                fmt::format("{} does not unpack to its {} bytes", member.name, member.size));
}

}  // namespace breakeven::model
