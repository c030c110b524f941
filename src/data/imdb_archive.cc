// aclImdb as a tar archive, read front to back through libarchive; nothing is unpacked to disk.
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "data/archive_feed.h"
#include "data/imdb_source.h"

namespace breakeven::data {
namespace {

// All texts of the data set are 66 MB; an archive that swells over this is not it.
constexpr std::size_t kMaxTotalBytes = std::size_t{4} << 30;

tl::unexpected<Error> corrupt(archive* reader, const ArchiveFeed& feed, const std::string& entry) {
  Error error = feed.error(reader, "the archive");
  error.hint = "copy or download it again (IMDB: breakeven fetch imdb)";
  if (!entry.empty()) error.message += fmt::format(", behind the entry {}", entry);
  return tl::unexpected<Error>(std::move(error));
}

// The content of the entry that the reader stands on.
Result<std::string> read_entry(archive* reader, const ArchiveFeed& feed, const std::string& entry) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const la_ssize_t got = archive_read_data(reader, buffer, sizeof(buffer));
    if (got == 0) return text;
    if (got < 0) return corrupt(reader, feed, entry);
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > kMaxTextBytes) {
      return fail("data/line-too-long", fmt::format("{}, entry {}: longer than {} bytes",
                                                    feed.name(), entry, kMaxTextBytes));
    }
  }
}

}  // namespace

Result<std::vector<ImdbEntry>> read_imdb_archive(std::unique_ptr<ByteStream> bytes,
                                                 const std::string& split) {
  const std::string path = bytes->name();
  ArchiveFeed feed(std::move(bytes));
  const Archive reader(archive_read_new());
  archive_read_support_format_tar(reader.get());
  if (!feed.open(reader.get())) return corrupt(reader.get(), feed, "");
  std::vector<ImdbEntry> entries;
  std::size_t total_bytes = 0;
  std::string last;
  for (;;) {
    archive_entry* header = nullptr;
    const int status = archive_read_next_header(reader.get(), &header);
    if (status == ARCHIVE_EOF) break;
    // ARCHIVE_WARN is about names and dates, which do not matter here.
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return corrupt(reader.get(), feed, last);
    const char* name = archive_entry_pathname(header);
    if (name == nullptr || archive_entry_filetype(header) != AE_IFREG) continue;
    auto entry = parse_imdb_path(name);
    if (!entry || (split != "all" && !entry->id.starts_with(split + "/"))) continue;
    last = name;
    BREAKEVEN_TRY(entry->text, read_entry(reader.get(), feed, last));
    total_bytes += entry->text.size();
    if (total_bytes > kMaxTotalBytes) {
      return fail("data/line-too-long",
                  fmt::format("{} holds more than {} bytes of reviews", path, kMaxTotalBytes),
                  "this is not the IMDB data set; give its archive aclImdb_v1.tar.gz");
    }
    entries.push_back(*std::move(entry));
  }
  if (entries.empty()) {
    return fail(
        "data/no-reviews",
        fmt::format("the archive {} holds no {}/pos/ID_RATING.txt or {}/neg/ID_RATING.txt", path,
                    split == "all" ? "test" : split, split == "all" ? "test" : split),
        "give the archive of the data set (aclImdb_v1.tar.gz); a file in another archive is "
        "read as in: tar -xOf ARCHIVE texts.jsonl | breakeven classify -");
  }
  return entries;
}

}  // namespace breakeven::data
