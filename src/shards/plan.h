// What a job on many machines consists of: the input, cut once into shards of as many records each,
// and what decides the results. Written to <out>/_plan.jsonl: a line about the job, then one a
// shard. The same input and options make the same plan, byte for byte, whoever makes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "data/pieces.h"

namespace breakeven::shards {

// Of what two runs must agree in for their parts to belong together: name, value.
using Fingerprint = std::vector<std::pair<std::string, std::string>>;

struct PlannedFile {
  data::SourceOptions reading;
  data::FileMark mark;
};

struct ShardPiece {
  std::size_t file = 0;  // of Plan::files
  data::Piece piece;
};

struct Shard {
  std::uint64_t first_row = 0, rows = 0;  // of the job's records: all files, one after the other
  std::vector<ShardPiece> pieces;
};

struct Plan {
  Fingerprint fingerprint;
  std::uint64_t rows_a_shard = 0;
  std::vector<PlannedFile> files;
  std::vector<Shard> shards;

  std::uint64_t rows() const {
    return shards.empty() ? 0 : shards.back().first_row + shards.back().rows;
  }
};

// Reads every file once. Errors: those of data::outline; data/empty (no record in any file).
Result<Plan> make_plan(std::span<const data::SourceOptions> files, std::uint64_t rows_a_shard,
                       Fingerprint fingerprint);

std::string to_jsonl(const Plan& plan);
// `name` stands in messages. Errors: shards/plan (no plan, a newer one, cut off).
Result<Plan> parse_plan(std::string_view text, const std::string& name);

// That a run with these belongs to the plan in `folder`; all differences are told. The files are
// looked at. Errors: shards/other-job; those of data::mark_of.
Result<void> check_same(const Plan& plan, const Fingerprint& fingerprint,
                        std::span<const data::SourceOptions> files, const std::string& folder);

// The records of a shard. Both must outlive it. Errors: those of data::open_piece.
Result<std::unique_ptr<data::Source>> open_shard(const Plan& plan, const Shard& shard);

}  // namespace breakeven::shards
