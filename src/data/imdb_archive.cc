// aclImdb as .tar.gz or .tar.xz, read front to back through libarchive; nothing is unpacked to
// disk.
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <utility>

#include "data/bytes.h"
#include "data/imdb_source.h"

namespace breakeven::data {
namespace {

// All texts of the data set are 66 MB; an archive that swells over this is not it.
constexpr std::size_t kMaxTotalBytes = std::size_t{4} << 30;

struct CloseArchive {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Archive = std::unique_ptr<archive, CloseArchive>;

tl::unexpected<Error> corrupt(archive* reader, const std::string& path, const std::string& entry) {
  const char* reason = archive_error_string(reader);
  const std::string place = entry.empty() ? "" : fmt::format(", behind the entry {}", entry);
  return fail("data/archive-corrupt",
              fmt::format("cannot read the archive {}{}: {}", path, place,
                          reason != nullptr ? reason : "unknown format"),
              "download it again (breakeven fetch imdb)");
}

// The content of the entry that the reader stands on.
Result<std::string> read_entry(archive* reader, const std::string& path, const std::string& entry) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const la_ssize_t got = archive_read_data(reader, buffer, sizeof(buffer));
    if (got == 0) return text;
    if (got < 0) return corrupt(reader, path, entry);
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > kMaxTextBytes) {
      return fail("data/line-too-long",
                  fmt::format("{}, entry {}: longer than {} bytes", path, entry, kMaxTextBytes));
    }
  }
}

Result<Archive> open_archive(const std::string& path) {
  // Its own words for a missing, unreadable or empty file are better than libarchive's.
  BREAKEVEN_TRY(const auto bytes, open_bytes(path));
  char first = 0;
  BREAKEVEN_TRY(const std::size_t got, bytes->read(&first, 1));
  if (got == 0) {
    return fail("data/empty", fmt::format("{} is empty", path),
                "download it again (breakeven fetch imdb)");
  }
  Archive reader(archive_read_new());
  archive_read_support_filter_all(reader.get());
  archive_read_support_format_tar(reader.get());
  if (archive_read_open_filename(reader.get(), path.c_str(), std::size_t{1} << 18) != ARCHIVE_OK) {
    return corrupt(reader.get(), path, "");
  }
  return reader;
}

}  // namespace

Result<std::vector<ImdbEntry>> read_imdb_archive(const std::string& path,
                                                 const std::string& split) {
  BREAKEVEN_TRY(const Archive reader, open_archive(path));
  std::vector<ImdbEntry> entries;
  std::size_t total_bytes = 0;
  std::string last;
  for (;;) {
    archive_entry* header = nullptr;
    const int status = archive_read_next_header(reader.get(), &header);
    if (status == ARCHIVE_EOF) break;
    // ARCHIVE_WARN is about names and dates, which do not matter here.
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return corrupt(reader.get(), path, last);
    const char* name = archive_entry_pathname(header);
    if (name == nullptr || archive_entry_filetype(header) != AE_IFREG) continue;
    auto entry = parse_imdb_path(name);
    if (!entry || (split != "all" && !entry->id.starts_with(split + "/"))) continue;
    last = name;
    BREAKEVEN_TRY(entry->text, read_entry(reader.get(), path, last));
    total_bytes += entry->text.size();
    if (total_bytes > kMaxTotalBytes) {
      return fail("data/line-too-long",
                  fmt::format("{} holds more than {} bytes of reviews", path, kMaxTotalBytes),
                  "this is not the IMDB data set; give its archive aclImdb_v1.tar.gz");
    }
    entries.push_back(*std::move(entry));
  }
  if (entries.empty()) {
    return fail("data/no-reviews",
                fmt::format("the archive {} holds no {}/pos/ID_RATING.txt or {}/neg/ID_RATING.txt",
                            path, split == "all" ? "test" : split, split == "all" ? "test" : split),
                "give the archive of the data set (aclImdb_v1.tar.gz)");
  }
  return entries;
}

}  // namespace breakeven::data
