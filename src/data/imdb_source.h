// The Large Movie Review Dataset (aclImdb) as a folder or as a tar archive.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/bytes.h"
#include "data/source.h"

namespace breakeven::data {

// One review of the data set. Its file is SPLIT/pos|neg/ID_RATING.txt.
struct ImdbEntry {
  std::string id;  // "test/pos/123_8"
  bool positive = false;
  int rating = 0;       // 1 to 10
  unsigned number = 0;  // ID
  std::string file;     // to be read when its turn comes; empty when `text` is here already
  std::string text;
};

// Reads ".../SPLIT/pos|neg/ID_RATING.txt"; nothing for any other path (unsup, urls, features).
std::optional<ImdbEntry> parse_imdb_path(std::string_view path);

// The reviews of one split. Errors: data/no-reviews, file/unreadable.
Result<std::vector<ImdbEntry>> list_imdb_folder(const std::string& folder,
                                                const std::string& split);
// `archive`: of tar, compressed no more. Errors: data/archive-corrupt, data/line-too-long,
// data/no-reviews.
Result<std::vector<ImdbEntry>> read_imdb_archive(std::unique_ptr<ByteStream> archive,
                                                 const std::string& split);

// The same order for a folder and for an archive: sorted by label and number, then mixed by seed.
std::unique_ptr<Source> make_imdb_source(std::vector<ImdbEntry> entries,
                                         const SourceOptions& options, std::string where);

// Where `--texts imdb` finds the data: $BREAKEVEN_IMDB, then what `breakeven fetch imdb` leaves in
// the cache folder, then ./aclImdb. Errors: data/imdb-missing, which lists the places.
Result<std::string> find_imdb();

}  // namespace breakeven::data
