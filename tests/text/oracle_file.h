// What tools/tokenizer_oracle.py writes: texts with the ids that Hugging Face's tokenizer gave
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace breakeven::text {

struct OracleCase {
  std::string first, second;
  bool pair = false;
  EncodeOptions options;
  std::vector<std::int32_t> ids, token_types;  // token_types: of a pair only
};

// Reads cases one after the other; next() is false at the end of the file and throws
// std::runtime_error on a torn record.
class OracleFile {
 public:
  explicit OracleFile(const std::filesystem::path& path);
  bool next(OracleCase& out);

 private:
  std::string content_;
  std::size_t at_ = 0;
};

// Compares both routes with one case; returns how many of the two differ and reports them as test
// failures where `report` is set.
std::size_t expect_same_ids(const Tokenizer& tokenizer, Tokenizer::Scratch& scratch,
                            OracleCase wanted, bool report = true);

// Compares both routes with the file; returns the number of cases and reports the first differences
// as test failures.
std::size_t expect_same_ids(const Tokenizer& tokenizer, const std::filesystem::path& path);

// One line for a message: what can be printed, the rest as \xNN; at most 300 bytes of it.
std::string printable(const std::string& text);

}  // namespace breakeven::text
