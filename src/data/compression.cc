#include "data/compression.h"

#include <archive_entry.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <locale.h>  // newlocale, which <clocale> does not promise
#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "data/archive_feed.h"
#include "data/file_kind.h"

namespace breakeven::data {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::size_t kBlock = std::size_t{1} << 16;

struct Kind {
  Compression compression;
  const char* name;
  std::string_view magic;
  std::vector<std::string_view> endings;
  int (*read)(archive*);  // what libarchive needs for it; null: see GzipBytes and open_zip
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> kKinds = {
      {Compression::gzip, "gzip", "\x1F\x8B"sv, {".gz", ".gzip"}, nullptr},
      {Compression::bzip2, "bzip2", "BZh"sv, {".bz2"}, archive_read_support_filter_bzip2},
      {Compression::xz, "xz", "\xFD\x37zXZ\0"sv, {".xz"}, archive_read_support_filter_xz},
      {Compression::lzma, "lzma", "\x5D\0\0"sv, {".lzma"}, archive_read_support_filter_lzma},
      {Compression::lzip, "lzip", "LZIP\x01"sv, {".lz"}, archive_read_support_filter_lzip},
      {Compression::zstd,
       "zstd",
       "\x28\xB5\x2F\xFD"sv,
       {".zst", ".zstd"},
       archive_read_support_filter_zstd},
      {Compression::lz4, "lz4", "\x04\x22\x4D\x18"sv, {".lz4"}, archive_read_support_filter_lz4},
      {Compression::compress,
       "compress",
       "\x1F\x9D"sv,
       {".Z"},
       archive_read_support_filter_compress},
      {Compression::zip, "zip", "PK\x03\x04"sv, {".zip"}, nullptr},
  };
  return kKinds;
}

// zstd's frames for other programs may come first; pzstd and --adapt write them.
bool is_skippable_zstd(std::string_view head) {
  return head.size() >= 4 && (head[0] & 0xF0) == 0x50 && head.substr(1, 3) == "\x2A\x4D\x18"sv;
}

// A text may begin with bzip2's letters, but not go on with those of its first block or of its end.
bool is_only_text(const Kind& kind, std::string_view head) {
  constexpr std::size_t kBlockAt = 4;
  if (kind.compression != Compression::bzip2 || head.size() <= kBlockAt) return false;
  const std::string_view block = head.substr(kBlockAt, 6);
  return !"1AY&SY"sv.starts_with(block) && !"\x17rE8P\x90"sv.starts_with(block);
}

const Kind& kind_of(Compression compression) {
  return *std::find_if(kinds().begin(), kinds().end(),
                       [compression](const Kind& kind) { return kind.compression == compression; });
}

tl::unexpected<Error> more_behind(const std::string& name, const char* kind) {
  return fail("data/archive-corrupt",
              fmt::format("{}: other bytes stand behind the end of the {} data", name, kind),
              "copy or download it again; if it was put together of several files, compress all of "
              "them");
}

// libarchive does not check gzip's sums, so zlib reads this one.
class GzipBytes final : public ByteStream {
 public:
  explicit GzipBytes(std::unique_ptr<ByteStream> packed)
      : packed_(std::move(packed)), block_(kBlock) {
    constexpr int kGzip = 16;  // added to the window's bits: gzip's header and sums
    ok_ = inflateInit2(&stream_, MAX_WBITS + kGzip) == Z_OK;
  }
  ~GzipBytes() override { inflateEnd(&stream_); }

  Result<std::size_t> read(char* out, std::size_t size) override {
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(size, kMostAtOnce));
    const uInt wanted = stream_.avail_out;
    while (stream_.avail_out == wanted && !done_) {
      if (!ok_) return damaged("it is damaged");
      if (stream_.avail_in == 0) BREAKEVEN_TRY_VOID(fill());
      if (stream_.avail_in == 0) {
        if (!between_) return damaged("it is cut off");
        done_ = true;
      } else if (between_) {
        BREAKEVEN_TRY_VOID(start_member());
      } else {
        inflate_some();
      }
    }
    return wanted - stream_.avail_out;
  }
  const std::string& name() const override { return packed_->name(); }

 private:
  static constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;

  Result<void> fill() {
    BREAKEVEN_TRY(const std::size_t got, packed_->read(block_.data(), block_.size()));
    stream_.next_in = reinterpret_cast<Bytef*>(block_.data());
    stream_.avail_in = static_cast<uInt>(got);
    return {};
  }

  void inflate_some() {
    const int status = inflate(&stream_, Z_NO_FLUSH);
    between_ = status == Z_STREAM_END;
    ok_ = between_ || status == Z_OK || status == Z_BUF_ERROR;
  }

  // Members follow each other; zeros behind the last one are padding.
  Result<void> start_member() {
    if (*stream_.next_in == 0x1F) {
      between_ = false;
      ok_ = inflateReset(&stream_) == Z_OK;
      return {};
    }
    for (; stream_.avail_in > 0; --stream_.avail_in, ++stream_.next_in) {
      if (*stream_.next_in != 0) return more_behind(name(), "gzip");
    }
    return {};
  }

  tl::unexpected<Error> damaged(const char* why) const {
    return fail(
        "data/archive-corrupt",
        fmt::format("cannot read the gzip file {}: {}{}{}", name(), why,
                    stream_.msg != nullptr ? ": " : "", stream_.msg != nullptr ? stream_.msg : ""),
        "copy or download it again");
  }

  std::unique_ptr<ByteStream> packed_;
  std::vector<char> block_;
  z_stream stream_{};
  bool ok_ = false;
  bool between_ = false;  // behind one member's end
  bool done_ = false;
};

// Every other compression of one stream.
class FilteredBytes final : public ByteStream {
 public:
  FilteredBytes(const Kind& kind, std::unique_ptr<ByteStream> packed)
      : kind_(kind), feed_(std::move(packed)), reader_(archive_read_new()) {}

  Result<std::size_t> read(char* out, std::size_t size) override {
    if (done_) return 0;
    if (!opened_) BREAKEVEN_TRY_VOID(open());
    const la_ssize_t got = done_ ? 0 : archive_read_data(reader_.get(), out, size);
    if (got < 0) return error();
    if (got > 0) return static_cast<std::size_t>(got);
    done_ = true;
    BREAKEVEN_TRY(const bool more, feed_.has_more(reader_.get()));
    if (more) return more_behind(name(), kind_.name);
    return 0;
  }
  const std::string& name() const override { return feed_.name(); }

 private:
  Result<void> open() {
    opened_ = true;
    archive* reader = reader_.get();
    // A warning would mean another program that does the work.
    const bool ready = kind_.read(reader) == ARCHIVE_OK &&
                       archive_read_support_format_raw(reader) == ARCHIVE_OK &&
                       archive_read_support_format_empty(reader) == ARCHIVE_OK;
    if (!ready || !feed_.open(reader)) return error();
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(reader, &entry);
    // Without a filter the reader found the first bytes wrong and would hand them out as they are.
    const bool filtered = archive_filter_code(reader, 0) != ARCHIVE_FILTER_NONE;
    if ((status != ARCHIVE_OK && status != ARCHIVE_EOF) || !filtered) return error();
    done_ = status == ARCHIVE_EOF;
    return {};
  }

  tl::unexpected<Error> error() {
    done_ = true;
    return tl::unexpected<Error>(
        feed_.error(reader_.get(), fmt::format("the {} file", kind_.name)));
  }

  const Kind& kind_;
  ArchiveFeed feed_;
  Archive reader_;  // ends before its feed
  bool opened_ = false;
  bool done_ = false;
};

// What an archive holds beside what somebody put in.
bool is_by_the_way(std::string_view name) {
  return name.starts_with("__MACOSX/") || name.ends_with(".DS_Store") ||
         name.ends_with("Thumbs.db");
}

// libarchive gives names in the thread's locale, and in "C" none with other letters than ASCII's.
class Utf8Names {
 public:
  Utf8Names() : utf8_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (utf8_ != nullptr) before_ = uselocale(utf8_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;
  ~Utf8Names() {
    if (utf8_ == nullptr) return;
    uselocale(before_);
    freelocale(utf8_);
  }

 private:
  locale_t utf8_;
  locale_t before_ = nullptr;
};

struct ZipEntry {
  std::string name;
  bool encrypted = false;
};
// The next file of the archive; nothing at its end. Errors: data/archive-corrupt.
Result<std::optional<ZipEntry>> next_file(archive* reader, const ArchiveFeed& feed) {
  const Utf8Names utf8_names;
  for (;;) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(reader, &entry);
    if (status == ARCHIVE_EOF) return std::optional<ZipEntry>();
    // A warning is about names and dates.
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
      return tl::unexpected<Error>(feed.error(reader, "the zip archive"));
    }
    const char* name = archive_entry_pathname(entry);
    ZipEntry found{name == nullptr ? "?" : name, archive_entry_is_encrypted(entry) != 0};
    if (archive_entry_filetype(entry) == AE_IFDIR || is_by_the_way(found.name)) continue;
    return std::optional(std::move(found));
  }
}

tl::unexpected<Error> wrong_members(const std::string& name, const std::string& what,
                                    const std::string& member) {
  return fail("data/archive-members", fmt::format("the zip archive {} {}", name, what),
              fmt::format("unpack the one that you mean, as in unzip -p {} '{}' > texts.jsonl",
                          name, member));
}

Result<void> check_members(const std::vector<std::string>& members, const std::string& name) {
  BREAKEVEN_TRY_VOID(refuse_known_zip(members, name));
  if (members.size() == 1) return {};
  if (members.empty()) {
    return fail("data/archive-members", fmt::format("the zip archive {} holds no file", name),
                "give an archive with one file of texts");
  }
  constexpr std::size_t kShown = 6;
  const auto shown =
      members.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, members.size()));
  return wrong_members(
      name,
      fmt::format("holds {} files, not one: {}{}", members.size(),
                  fmt::join(members.begin(), shown, ", "), members.size() > kShown ? ", ..." : ""),
      members.front());
}

// Errors: data/archive-members, data/binary, data/archive-corrupt.
Result<void> check_members_of(const std::string& path, ArchiveFeed& feed) {
  const Archive reader(archive_read_new());
  archive_read_support_format_zip_seekable(reader.get());
  if (archive_read_open_filename(reader.get(), path.c_str(), kBlock) != ARCHIVE_OK) {
    return tl::unexpected<Error>(feed.error(reader.get(), "the zip archive"));
  }
  std::vector<std::string> members;
  for (;;) {
    BREAKEVEN_TRY(auto entry, next_file(reader.get(), feed));
    if (!entry) return check_members(members, path);
    members.push_back(std::move(entry->name));
  }
}

class ZipBytes final : public ByteStream {
 public:
  explicit ZipBytes(std::unique_ptr<ByteStream> packed)
      : feed_(std::move(packed)), reader_(archive_read_new()) {}

  // The name of the first file. `path` as open_zip has it.
  Result<std::string> open(const std::string& path) {
    if (!path.empty()) BREAKEVEN_TRY_VOID(check_members_of(path, feed_));
    archive* reader = reader_.get();
    path.empty() ? archive_read_support_format_zip_streamable(reader)
                 : archive_read_support_format_zip_seekable(reader);
    // Only a file of the disk has an end that can be read first, and the list of files is there.
    const bool opened =
        path.empty() ? feed_.open(reader)
                     : archive_read_open_filename(reader, path.c_str(), kBlock) == ARCHIVE_OK;
    if (!opened) return error();
    BREAKEVEN_TRY(const std::optional<ZipEntry> first, next_file(reader, feed_));
    BREAKEVEN_TRY_VOID(
        check_members(first ? std::vector{first->name} : std::vector<std::string>(), name()));
    if (first->encrypted) {
      return fail("data/archive-members",
                  fmt::format("'{}' in the zip archive {} is encrypted", first->name, name()),
                  "unpack it with its password first");
    }
    first_ = first->name;
    return first_;
  }

  Result<std::size_t> read(char* out, std::size_t size) override {
    if (done_) return 0;
    const la_ssize_t got = archive_read_data(reader_.get(), out, size);
    if (got < 0) return error();
    if (got > 0) return static_cast<std::size_t>(got);
    done_ = true;
    BREAKEVEN_TRY(const auto second, next_file(reader_.get(), feed_));
    if (!second) return 0;
    return wrong_members(
        name(), fmt::format("holds '{}' and, behind it, '{}'", first_, second->name), second->name);
  }
  const std::string& name() const override { return feed_.name(); }

 private:
  tl::unexpected<Error> error() {
    done_ = true;
    return tl::unexpected<Error>(feed_.error(reader_.get(), "the zip archive"));
  }

  ArchiveFeed feed_;
  Archive reader_;  // ends before its feed
  std::string first_;
  bool done_ = false;
};

}  // namespace

Compression compression_of(std::string_view head, std::string_view name) {
  if (is_skippable_zstd(head)) return Compression::zstd;
  for (const Kind& kind : kinds()) {
    if (head.starts_with(kind.magic) && !is_only_text(kind, head)) return kind.compression;
    // What was cut off within its first bytes can be told by its name only.
    const bool named = std::any_of(kind.endings.begin(), kind.endings.end(),
                                   [name](std::string_view end) { return name.ends_with(end); });
    if (named && !head.empty() && kind.magic.starts_with(head)) return kind.compression;
  }
  return Compression::none;
}

std::optional<std::string> without_compression(std::string_view name) {
  constexpr std::array<std::string_view, 5> kTars = {".tgz", ".tbz", ".tbz2", ".txz", ".tzst"};
  for (const std::string_view ending : kTars) {
    if (name.ends_with(ending)) {
      return std::string(name.substr(0, name.size() - ending.size())) + ".tar";
    }
  }
  for (const Kind& kind : kinds()) {
    for (const std::string_view ending : kind.endings) {
      if (name.ends_with(ending)) return std::string(name.substr(0, name.size() - ending.size()));
    }
  }
  return std::nullopt;
}

std::unique_ptr<ByteStream> decompress(Compression kind, std::unique_ptr<ByteStream> packed) {
  if (kind == Compression::gzip) return std::make_unique<GzipBytes>(std::move(packed));
  return std::make_unique<FilteredBytes>(kind_of(kind), std::move(packed));
}

Result<ZipMember> open_zip(std::unique_ptr<ByteStream> packed, const std::string& path) {
  auto bytes = std::make_unique<ZipBytes>(std::move(packed));
  BREAKEVEN_TRY(std::string name, bytes->open(path));
  return ZipMember{std::move(name), std::move(bytes)};
}

}  // namespace breakeven::data
