#include "data/pieces.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include "base/descriptor.h"
#include "data/csv_reader.h"
#include "data/file_sources.h"

namespace breakeven::data {
namespace {

constexpr std::uint64_t kEndBytes = 65536;
constexpr const char* kPlanAgain =
    "put the file back as it was, or make a new plan in another folder";

std::uint32_t crc_of(std::uint32_t before, std::string_view bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

tl::unexpected<Error> changed(const std::string& path, const std::string& how) {
  return fail("data/changed", fmt::format("{} has changed since the plan was made: {}", path, how),
              kPlanAgain);
}

// The bytes [begin, end) of a file.
class RangeBytes final : public ByteStream {
 public:
  // Errors: file/missing, file/unreadable.
  static Result<std::unique_ptr<RangeBytes>> open(const std::string& path, std::uint64_t begin,
                                                  std::uint64_t end) {
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) {
      if (errno == ENOENT || errno == ENOTDIR) {
        return fail("file/missing", fmt::format("there is no file {}", path), "check the path");
      }
      return unreadable(path);
    }
    return std::unique_ptr<RangeBytes>(new RangeBytes(std::move(file), path, begin, end));
  }

  Result<std::size_t> read(char* out, std::size_t size) override {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - at_));
    if (count == 0) return at_end();
    ssize_t got = 0;
    do {
      got = ::pread(file_.get(), out, count, static_cast<off_t>(at_));
    } while (got < 0 && errno == EINTR);
    if (got < 0) return unreadable(path_);
    if (got == 0) return changed(path_, fmt::format("it ends at byte {}", at_));
    at_ += static_cast<std::uint64_t>(got);
    crc_ = crc_of(crc_, {out, static_cast<std::size_t>(got)});
    return static_cast<std::size_t>(got);
  }
  const std::string& name() const override { return path_; }

  void expect(std::uint32_t crc) { expected_ = crc; }
  std::uint32_t crc() const { return crc_; }

 private:
  RangeBytes(Descriptor file, std::string path, std::uint64_t begin, std::uint64_t end)
      : file_(std::move(file)), path_(std::move(path)), at_(begin), end_(end) {}
  static tl::unexpected<Error> unreadable(const std::string& path) {
    return fail("file/unreadable",
                fmt::format("cannot read {}: {}", path, std::generic_category().message(errno)));
  }
  Result<std::size_t> at_end() const {
    if (!expected_ || *expected_ == crc_) return 0;
    return changed(path_, fmt::format("other bytes stand before byte {}", end_));
  }

  Descriptor file_;
  std::string path_;
  std::uint64_t at_, end_;
  std::uint32_t crc_ = 0;
  std::optional<std::uint32_t> expected_{};
};

Result<std::uint32_t> crc_of_range(const std::string& path, std::uint64_t begin,
                                   std::uint64_t end) {
  BREAKEVEN_TRY(const auto bytes, RangeBytes::open(path, begin, end));
  std::array<char, 65536> buffer{};
  for (;;) {
    BREAKEVEN_TRY(const std::size_t got, bytes->read(buffer.data(), buffer.size()));
    if (got == 0) return bytes->crc();
  }
}

// One record after the other, as far as its end has to be known; false at the end.
using Step = std::function<Result<bool>()>;

Step step_of(const Settled& settled, LineReader& lines, std::optional<CsvReader>& csv,
             std::vector<std::string>& fields) {
  const SourceOptions& reading = settled.reading;
  if (reading.format == Format::csv) {
    csv.emplace(lines, CsvForm{reading.separator, reading.quoting == Quoting::on, settled.guessed});
    return [&csv, &fields] { return csv->next(fields); };
  }
  const bool blank_counts = reading.format == Format::lines;
  return [&lines, blank_counts]() -> Result<bool> {
    for (;;) {
      BREAKEVEN_TRY(const auto line, lines.next());
      if (!line) return false;
      if (blank_counts || line->find_first_not_of(" \t\r\n") != std::string_view::npos) return true;
    }
  };
}

// Cuts where `step` stands; `place` says where that is.
Result<std::vector<Piece>> cut(const Step& step, const std::function<void(Piece& next)>& place,
                               std::uint64_t first_rows, std::uint64_t rows) {
  std::vector<Piece> pieces;
  Piece piece;
  place(piece);
  for (std::uint64_t limit = first_rows;;) {
    BREAKEVEN_TRY(const bool more, step());
    if (more) ++piece.rows;
    if (piece.rows < limit && more) continue;
    Piece next;
    place(next);
    piece.end = next.begin;
    next.first_row = piece.first_row + piece.rows;
    if (piece.rows > 0) pieces.push_back(piece);
    if (!more) return pieces;
    piece = next;
    limit = rows;
  }
}

Result<std::vector<Piece>> cut_bytes(const Settled& settled, std::uint64_t file_bytes,
                                     std::uint64_t first_rows, std::uint64_t rows) {
  const std::string& path = settled.reading.texts;
  BREAKEVEN_TRY(auto bytes, RangeBytes::open(path, settled.begin, file_bytes));
  LineReader lines(std::move(bytes), kMaxTextBytes);
  if (settled.begin > 0) lines.begin_behind(settled.lines);
  std::optional<CsvReader> csv;
  std::vector<std::string> fields;
  const auto place = [&](Piece& next) {
    next.begin = settled.begin + lines.offset();
    next.lines = lines.line();
  };
  BREAKEVEN_TRY(auto pieces, cut(step_of(settled, lines, csv, fields), place, first_rows, rows));
  for (Piece& piece : pieces) {
    BREAKEVEN_TRY(piece.crc, crc_of_range(path, piece.begin, piece.end));
  }
  return pieces;
}

// So many records of a source behind those before them.
class Rows final : public Source {
 public:
  Rows(std::unique_ptr<Source> source, std::uint64_t before, std::uint64_t rows)
      : source_(std::move(source)), before_(before), left_(rows) {}
  Result<std::optional<Review>> next() override {
    for (; before_ > 0; --before_) {
      BREAKEVEN_TRY(const auto skipped, source_->next());
      if (!skipped) return too_few();
    }
    if (left_ == 0) return std::optional<Review>();
    --left_;
    BREAKEVEN_TRY(auto review, source_->next());
    if (!review) return too_few();
    return review;
  }
  std::string name() const override { return source_->name(); }
  std::string losses() const override { return source_->losses(); }

 private:
  tl::unexpected<Error> too_few() const { return changed(name(), "it has fewer records"); }

  std::unique_ptr<Source> source_;
  std::uint64_t before_, left_;
};

}  // namespace

Result<FileMark> mark_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return fail("file/not-a-file", fmt::format("{} is no file", path), "give files");
  }
  FileMark mark;
  mark.bytes = static_cast<std::uint64_t>(status.st_size);
  BREAKEVEN_TRY(mark.ends, crc_of_range(path, 0, std::min(mark.bytes, kEndBytes)));
  if (mark.bytes > kEndBytes) {
    BREAKEVEN_TRY(const std::uint32_t last, crc_of_range(path, mark.bytes - kEndBytes, mark.bytes));
    mark.ends ^= last;
  }
  return mark;
}

Result<Outline> outline(const SourceOptions& options, std::uint64_t first_rows,
                        std::uint64_t rows) {
  Outline found;
  BREAKEVEN_TRY(found.mark, mark_of(options.texts));
  BREAKEVEN_TRY(const auto source, open_source(options));
  const auto* file = dynamic_cast<const FileSource*>(source.get());
  if (file == nullptr) {
    return fail("data/no-pieces", fmt::format("{} cannot be cut into shards", options.texts),
                "give files of JSON, CSV or lines");
  }
  const Settled settled = file->settled(options);
  found.reading = settled.reading;
  if (settled.is_plain && (found.reading.format != Format::jsonl || found.reading.one_a_line)) {
    BREAKEVEN_TRY(found.pieces, cut_bytes(settled, found.mark.bytes, first_rows, rows));
    return found;
  }
  const Step step = [&source]() -> Result<bool> {
    BREAKEVEN_TRY(const auto review, source->next());
    return review.has_value();
  };
  BREAKEVEN_TRY(found.pieces, cut(
                                  step, [](Piece&) {}, first_rows, rows));
  // The header stands in the file, which is read from its front.
  found.reading.columns.clear();
  return found;
}

Result<std::unique_ptr<Source>> open_piece(const SourceOptions& reading, const Piece& piece) {
  if (piece.end == 0) {
    BREAKEVEN_TRY(auto source, open_source(reading));
    return std::unique_ptr<Source>(
        std::make_unique<Rows>(std::move(source), piece.first_row, piece.rows));
  }
  BREAKEVEN_TRY(auto bytes, RangeBytes::open(reading.texts, piece.begin, piece.end));
  bytes->expect(piece.crc);
  FileText text;
  text.lines = std::make_unique<LineReader>(std::move(bytes), kMaxTextBytes);
  if (piece.begin > 0) text.lines->begin_behind(piece.lines);
  if (reading.format == Format::csv) return open_csv(std::move(text), reading.separator, reading);
  if (reading.format == Format::jsonl) return open_jsonl(std::move(text), reading);
  return open_lines(std::move(text));
}

}  // namespace breakeven::data
