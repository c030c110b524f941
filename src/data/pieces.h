// A file of records in pieces that can be read by themselves, on any machine and in any order: of
// plain JSONL, CSV and lines by their bytes, so that nothing before a piece is read; of what is
// compressed, in another encoding or a JSON array by numbers of records, reading through.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/source.h"

namespace breakeven::data {

struct Piece {
  std::uint64_t first_row = 0, rows = 0;  // of the file's records, from 0
  // The bytes that hold them, the lines before these, and their CRC-32; end = 0: the file has to be
  // read through.
  std::uint64_t begin = 0, end = 0, lines = 0;
  std::uint32_t crc = 0;
  bool operator==(const Piece&) const = default;
};

// What tells that a file is the one that it was: its size, and the CRC-32 of its first and last
// 64 KiB. What compresses has a checksum of all at the end.
struct FileMark {
  std::uint64_t bytes = 0;
  std::uint32_t ends = 0;
  bool operator==(const FileMark&) const = default;
};
// Errors: file/missing, file/not-a-file, file/unreadable.
Result<FileMark> mark_of(const std::string& path);

struct Outline {
  SourceOptions reading;  // with all that the file's beginning said
  FileMark mark;
  std::vector<Piece> pieces;
};
// Reads the whole file once. Pieces have `rows` records, the first has `first_rows`, the last what
// is left. Errors: those of open_source and of its next() where the records cannot be told apart
// otherwise; data/csv; data/no-pieces (a folder or archive of reviews, a pipe).
Result<Outline> outline(const SourceOptions& options, std::uint64_t first_rows, std::uint64_t rows);

// The records of a piece. Errors: those of open_source; of next(), too: data/changed where the
// file is no longer what the outline was made of.
Result<std::unique_ptr<Source>> open_piece(const SourceOptions& reading, const Piece& piece);

}  // namespace breakeven::data
