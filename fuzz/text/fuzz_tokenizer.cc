// Any bytes, any cut: the one-pass route and the route by stages give the same ids, all of them in
// the vocabulary and no more than asked for. The vocabularies that the project ships take turns.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "text/tokenizer.h"

namespace {

using breakeven::Text;
using breakeven::text::EncodeOptions;
using breakeven::text::Route;
using breakeven::text::Tokenizer;
using breakeven::text::TruncationSide;

struct Subject {
  explicit Subject(const char* folder)
      : tokenizer(Tokenizer::load(std::string(BREAKEVEN_SOURCE_DIR) + folder).value()),
        scratch(tokenizer.make_scratch()) {}
  Tokenizer tokenizer;
  std::unique_ptr<Tokenizer::Scratch, void (*)(Tokenizer::Scratch*)> scratch;
};

struct Encoded {
  std::vector<std::int32_t> ids, token_types;
};

Encoded encode(const Subject& subject, std::string_view first, std::string_view second, bool pair,
               const EncodeOptions& options) {
  Encoded out;
  const Text text = pair ? Text(first, second) : Text(first);
  subject.tokenizer.encode(text, options, *subject.scratch, out.ids, &out.token_types);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array<Subject, 5> kSubjects = {
      Subject("/models/builtin"), Subject("/tests/text/data/cased"),
      Subject("/tests/text/data/byte_level"), Subject("/tests/text/data/unigram"),
      Subject("/tests/text/data/sentencepiece")};
  if (size < 3) return 0;
  const std::size_t which =
      (data[0] & 128) != 0 ? 4 : ((data[0] & 64) != 0 ? 2 : 0) + (data[0] & 1);
  const Subject& subject = kSubjects[which];
  const bool pair = (data[0] & 2) != 0;
  EncodeOptions options;
  options.truncation_side = (data[0] & 4) != 0 ? TruncationSide::left : TruncationSide::right;
  options.add_special_tokens = (data[0] & 8) == 0;
  options.truncate = (data[0] & 16) == 0;
  options.max_length = (data[0] & 32) != 0 ? 512 : data[1];
  const std::string_view text(reinterpret_cast<const char*>(data + 3), size - 3);
  const std::size_t cut = pair ? text.size() * data[2] / 256 : text.size();

  const Encoded fast = encode(subject, text.substr(0, cut), text.substr(cut), pair, options);
  options.route = Route::by_stages;
  const Encoded slow = encode(subject, text.substr(0, cut), text.substr(cut), pair, options);
  BREAKEVEN_CHECK(fast.ids == slow.ids, "{} and {} ids", fast.ids.size(), slow.ids.size());
  BREAKEVEN_CHECK(fast.token_types == slow.token_types);
  const std::size_t specials = !options.add_special_tokens ? 0
                               : !pair                     ? 2
                               : which == 2 || which == 3  ? 4
                                                           : 3;
  if (options.truncate && options.max_length >= specials)
    BREAKEVEN_CHECK(fast.ids.size() <= options.max_length, "{}", fast.ids.size());
  const auto vocabulary = static_cast<std::int32_t>(subject.tokenizer.info().vocabulary);
  for (const std::int32_t id : fast.ids)
    BREAKEVEN_CHECK(id >= 0 && id < vocabulary, "id {} of {}", id, vocabulary);
  return 0;
}
