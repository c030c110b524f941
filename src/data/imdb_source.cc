#include "data/imdb_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <tuple>
#include <utility>

#include "base/files.h"
#include "base/numbers.h"
#include "base/random.h"
#include "data/labels.h"

namespace breakeven::data {
namespace {

namespace fs = std::filesystem;

// Takes the last component off `path`.
std::string_view take_last(std::string_view& path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view last = slash == std::string_view::npos ? path : path.substr(slash + 1);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  return last;
}

class ImdbSource final : public Source {
 public:
  ImdbSource(std::vector<ImdbEntry> entries, const SourceOptions& options, std::string where)
      : entries_(std::move(entries)),
        split_(options.split),
        where_(std::move(where)),
        sentiments_(options.labels) {}

  std::string name() const override { return "imdb " + split_; }
  std::string note() const override {
    return fmt::format("IMDB (Maas et al. 2011), {} reviews from {}{}", entries_.size(), where_,
                       sentiments_.note());
  }

  Result<std::optional<Review>> next() override {
    if (next_ >= entries_.size()) return std::optional<Review>();
    ImdbEntry& entry = entries_[next_++];
    Review review;
    if (entry.file.empty()) {
      review.text = std::move(entry.text);
    } else {
      auto text = read_file(entry.file);
      if (!text) {
        next_ = entries_.size();
        return propagate(std::move(text));
      }
      review.text = *std::move(text);
    }
    review.label = sentiments_.of(entry.positive);
    review.extra = fmt::format(R"({{"id":"{}","rating":{}}})", entry.id, entry.rating);
    return std::optional(std::move(review));
  }

 private:
  std::vector<ImdbEntry> entries_;
  std::size_t next_ = 0;
  std::string split_;
  std::string where_;
  Sentiments sentiments_;
};

}  // namespace

std::optional<ImdbEntry> parse_imdb_path(std::string_view path) {
  std::string_view rest = path;
  std::string_view file = take_last(rest);
  const std::string_view label = take_last(rest);
  const std::string_view split = take_last(rest);
  if ((split != "train" && split != "test") || (label != "pos" && label != "neg")) {
    return std::nullopt;
  }
  if (!file.ends_with(".txt")) return std::nullopt;
  file.remove_suffix(4);
  const std::size_t bar = file.find('_');
  if (bar == std::string_view::npos) return std::nullopt;
  const auto number = parse_number<unsigned>(file.substr(0, bar));
  const auto rating = parse_number<int>(file.substr(bar + 1));
  if (!number || !rating) return std::nullopt;
  ImdbEntry entry;
  entry.number = *number;
  entry.rating = *rating;
  entry.id = fmt::format("{}/{}/{}", split, label, file);
  entry.positive = label == "pos";
  return entry;
}

Result<std::vector<ImdbEntry>> list_imdb_folder(const std::string& folder,
                                                const std::string& split) {
  fs::path root(folder);
  if (is_folder(root / "aclImdb")) root /= "aclImdb";
  std::vector<ImdbEntry> entries;
  for (const char* part : {"train", "test"}) {
    if (split != "all" && split != part) continue;
    for (const char* label : {"pos", "neg"}) {
      const fs::path place = root / part / label;
      BREAKEVEN_TRY(const PathKind kind, look_at(place));
      if (kind == PathKind::nothing) continue;
      BREAKEVEN_TRY(const auto files, list_folder(place));
      for (const fs::path& file : files) {
        auto entry = parse_imdb_path(file.string());
        if (!entry) continue;
        entry->file = file.string();
        entries.push_back(*std::move(entry));
      }
    }
  }
  if (entries.empty()) {
    return fail(
        "data/no-reviews",
        fmt::format("the folder {} holds no {}/pos/ID_RATING.txt or {}/neg/ID_RATING.txt", folder,
                    split == "all" ? "test" : split, split == "all" ? "test" : split),
        "give the folder aclImdb of the data set, or a file of texts");
  }
  return entries;
}

std::unique_ptr<Source> make_imdb_source(std::vector<ImdbEntry> entries,
                                         const SourceOptions& options, std::string where) {
  std::sort(entries.begin(), entries.end(), [](const ImdbEntry& a, const ImdbEntry& b) {
    return std::tie(a.positive, a.number, a.id) < std::tie(b.positive, b.number, b.id);
  });
  Random random(options.seed);
  random.scaled_shuffle(entries);
  return std::make_unique<ImdbSource>(std::move(entries), options, std::move(where));
}

Result<std::string> find_imdb() {
  std::vector<std::string> places;
  if (const char* given = std::getenv("BREAKEVEN_IMDB"); given != nullptr && given[0] != '\0') {
    // What somebody asked for is not silently replaced by another copy.
    BREAKEVEN_TRY(const PathKind kind, look_at(given));
    if (kind != PathKind::nothing) return std::string(given);
    return fail("data/imdb-missing",
                fmt::format("BREAKEVEN_IMDB names {}, which is not there", given),
                "correct or unset BREAKEVEN_IMDB, or run breakeven fetch imdb");
  }
  places.emplace_back("$BREAKEVEN_IMDB (not set)");
  if (const auto cache = cache_folder()) {
    const std::string fetched = *cache + "/data/aclImdb_v1.tar.gz";
    if (is_there(fetched)) return fetched;
    places.push_back(fetched);
  }
  if (is_folder("aclImdb")) return std::string("aclImdb");
  places.emplace_back("./aclImdb");
  return fail("data/imdb-missing",
              fmt::format("the IMDB reviews are not here; looked for {}", fmt::join(places, ", ")),
              "run breakeven fetch imdb, or set BREAKEVEN_IMDB to the folder or archive");
}

}  // namespace breakeven::data
