#include "oracle_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <stdexcept>

#include "base/files.h"

namespace breakeven::text {

OracleFile::OracleFile(const std::filesystem::path& path)
    : content_(read_file(path.string()).value()) {}

bool OracleFile::next(OracleCase& out) {
  if (at_ == content_.size()) return false;
  const auto take = [&](void* to, std::size_t bytes) {
    if (content_.size() - at_ < bytes) throw std::runtime_error("torn record in the oracle's file");
    if (bytes > 0) std::memcpy(to, content_.data() + at_, bytes);
    at_ += bytes;
  };
  std::array<std::int32_t, 6> header{};
  take(header.data(), sizeof(header));
  const auto [max_length, cut, special, first_bytes, second_bytes, ids] = header;
  out.options = {};
  out.options.truncate = max_length >= 0;
  out.options.max_length = static_cast<std::size_t>(std::max(max_length, 0));
  out.options.truncation_side = (cut & 1) != 0 ? TruncationSide::left : TruncationSide::right;
  out.options.pair_cut = (cut & 2) != 0 ? PairCut::only_first : PairCut::longest_first;
  out.options.add_special_tokens = special != 0;
  out.pair = second_bytes >= 0;
  out.first.resize(static_cast<std::size_t>(first_bytes));
  out.second.resize(static_cast<std::size_t>(std::max(second_bytes, 0)));
  out.ids.resize(static_cast<std::size_t>(ids));
  out.token_types.resize(out.pair ? out.ids.size() : 0);
  take(out.first.data(), out.first.size());
  take(out.second.data(), out.second.size());
  take(out.ids.data(), out.ids.size() * sizeof(std::int32_t));
  take(out.token_types.data(), out.token_types.size() * sizeof(std::int32_t));
  return true;
}

std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, 300))
    out += c >= 0x20 && c < 0x7F ? std::string(1, c)
                                 : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return text.size() > 300 ? out + "..." : out;
}

std::size_t expect_same_ids(const Tokenizer& tokenizer, Tokenizer::Scratch& scratch,
                            OracleCase wanted, bool report) {
  std::vector<std::int32_t> ids, token_types;
  std::size_t differences = 0;
  for (const Route route : {Route::fastest, Route::by_stages}) {
    wanted.options.route = route;
    ids.clear();
    token_types.clear();
    Text text = wanted.first;
    if (wanted.pair) text.second = wanted.second;
    const bool cut =
        tokenizer.encode(text, wanted.options, scratch, ids, wanted.pair ? &token_types : nullptr);
    EncodeOptions whole = wanted.options;
    whole.truncate = false;
    std::vector<std::int32_t> all;
    EXPECT_FALSE(tokenizer.encode(text, whole, scratch, all));
    EXPECT_EQ(cut, all.size() > ids.size()) << printable(wanted.first);
    if (ids == wanted.ids && token_types == wanted.token_types) continue;
    ++differences;
    if (!report) continue;
    ADD_FAILURE() << fmt::format(
        "{}, max_length {}{}, {}: '{}' / '{}'\n  ids   {}\n  want  {}\n  types {}\n  want  {}",
        route == Route::fastest ? "fastest" : "by stages", wanted.options.max_length,
        wanted.options.truncate ? "" : " (no cut)",
        wanted.options.truncation_side == TruncationSide::left ? "left" : "right",
        printable(wanted.first), printable(wanted.second), fmt::join(ids, " "),
        fmt::join(wanted.ids, " "), fmt::join(token_types, " "),
        fmt::join(wanted.token_types, " "));
  }
  return differences;
}

std::size_t expect_same_ids(const Tokenizer& tokenizer, const std::filesystem::path& path) {
  constexpr std::size_t kReported = 10;
  OracleFile file(path);
  const auto scratch = tokenizer.make_scratch();
  OracleCase wanted;
  std::size_t cases = 0, differences = 0;
  for (; file.next(wanted); ++cases)
    differences += expect_same_ids(tokenizer, *scratch, wanted, differences < kReported);
  EXPECT_EQ(differences, 0U) << "of " << cases << " cases, each by two routes";
  return cases;
}

}  // namespace breakeven::text
