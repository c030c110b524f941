// Texts that want too much: a megabyte of one kind, every byte, every truncation; and the promise
// that a warm tokenizer allocates nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <random>

#include "testing/paths.h"
#include "text/tokenizer.h"

namespace {
std::atomic<std::size_t> allocations{0};
}  // namespace

// Counts every allocation of this program. (Inlined by halves, new and delete look mismatched to
// GCC.)
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace breakeven::text {
namespace {

constexpr const char* kWordPiece = "models/builtin";
constexpr const char* kByteLevel = "tests/text/data/byte_level";
constexpr const char* kUnigram = "tests/text/data/unigram";
constexpr const char* kSentencePiece = "tests/text/data/sentencepiece";

class HostileTest : public ::testing::Test {
 protected:
  static Tokenizer load(const char* model) {
    return Tokenizer::load((testing::source_dir() / model).string()).value();
  }
  HostileTest() : tokenizer_(load(kWordPiece)), scratch_(tokenizer_.make_scratch()) {}

  // Runs `test` with a tokenizer of each kind.
  template <class Test>
  void with_each(Test test) {
    for (const char* model : {kWordPiece, kByteLevel, kUnigram, kSentencePiece}) {
      SCOPED_TRACE(model);
      tokenizer_ = load(model);
      scratch_ = tokenizer_.make_scratch();
      test();
    }
  }

  std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options = {}) {
    std::vector<std::int32_t> ids;
    tokenizer_.encode(text, options, *scratch_, ids);
    return ids;
  }

  Tokenizer tokenizer_;
  std::unique_ptr<Tokenizer::Scratch, void (*)(Tokenizer::Scratch*)> scratch_;
};

std::string repeated(std::string_view part, std::size_t bytes) {
  std::string out;
  out.reserve(bytes + part.size());
  while (out.size() < bytes) out += part;
  return out;
}

std::vector<std::string> megabytes() {
  constexpr std::size_t kMegabyte = 1 << 20;
  std::vector<std::string> out;
  for (const char* part :
       {"a", "!", "\u0301", "[", "[SEP]", "[SE", "<", "<mask>", " <mask>", "\xff", "\xe2\x82",
        "\u4e2d", "\ud55c", "\U0001F600", "dGhlIHF1aWNrIGJyb3duIGZveA", "a\u0323\u0301", " ", "x "})
    out.push_back(repeated(part, kMegabyte));
  out.push_back(std::string(kMegabyte, '\0'));
  return out;
}

// Quadratic time would take hours here, so finishing at all is the test.
TEST_F(HostileTest, MegabytesOfOneKind) {
  with_each([&] {
    EncodeOptions whole, by_stages, cut, left;
    whole.truncate = by_stages.truncate = false;
    by_stages.route = Route::by_stages;
    left.truncation_side = TruncationSide::left;
    for (const std::string& text : megabytes()) {
      SCOPED_TRACE(text.substr(0, 8));
      const auto ids = encode(text, whole);
      EXPECT_EQ(ids, encode(text, by_stages));
      const auto head = encode(text, cut), tail = encode(text, left);
      const std::size_t kept = std::min<std::size_t>(ids.size(), 512) - 2;
      ASSERT_EQ(head.size(), kept + 2);
      ASSERT_EQ(tail.size(), kept + 2);
      EXPECT_TRUE(std::equal(head.begin(), head.end() - 1, ids.begin()));
      EXPECT_TRUE(std::equal(tail.begin() + 1, tail.end(),
                             ids.end() - 1 - static_cast<std::ptrdiff_t>(kept)));
    }
  });
}

TEST_F(HostileTest, WhatBecomesOfAMegabyte) {
  EncodeOptions whole;
  whole.truncate = false;
  EXPECT_EQ(encode(repeated("!", 1 << 20), whole).size(), (1U << 20) + 2);
  EXPECT_EQ(encode(repeated("a", 1 << 20), whole).size(), 3U);       // one unknown word
  EXPECT_EQ(encode(repeated("\u0301", 1 << 20), whole).size(), 2U);  // nothing
}

TEST_F(HostileTest, NulBytesAreRemoved) {
  using std::string_literals::operator""s;
  EXPECT_EQ(encode("mo\0vie\0"s), encode("movie"));
  EXPECT_EQ(encode("\0"s), encode(""));
  EXPECT_EQ(encode("[S\0EP]"s), encode("[ sep ]"));
}

TEST_F(HostileTest, EveryByteAtEveryPlaceNearTheEnd) {
  with_each([&] {
    EncodeOptions by_stages;
    by_stages.route = Route::by_stages;
    for (std::size_t length = 0; length <= 170; ++length) {
      std::string text = repeated("the movie, unaffable ", length).substr(0, length);
      ASSERT_EQ(encode(text), encode(text, by_stages)) << length;
      for (unsigned byte = 0; byte < 256 && length > 0; ++byte) {
        text[(std::size_t{31} * byte + length) % length] = static_cast<char>(byte);
        text.back() = static_cast<char>(byte);
        ASSERT_EQ(encode(text), encode(text, by_stages)) << length << " " << byte;
      }
    }
  });
}

TEST_F(HostileTest, EveryMaxLength) {
  with_each([&] {
    std::mt19937 random(1);
    std::string text;
    for (int i = 0; i < 900; ++i)
      text += std::vector<const char*>{"the ", "unaffable ", "caf\u00e9, ", "[SEP]",
                                       "good\U0001F600 "}[random() % 5];
    EncodeOptions options;
    options.truncate = false;
    const auto all = encode(text, options);
    ASSERT_GT(all.size(), 514U);
    options.truncate = true;
    for (std::size_t max_length = 0; max_length <= 512; ++max_length) {
      for (const auto side : {TruncationSide::right, TruncationSide::left}) {
        options.max_length = max_length;
        options.truncation_side = side;
        options.route = Route::fastest;
        const auto ids = encode(text, options);
        options.route = Route::by_stages;
        ASSERT_EQ(ids, encode(text, options)) << max_length;
        if (max_length < 2) {
          ASSERT_EQ(ids, all);  // as HF: the special tokens do not fit, so nothing is cut
          continue;
        }
        ASSERT_EQ(ids.size(), max_length);
        const auto kept = static_cast<std::ptrdiff_t>(max_length) - 2;
        const auto from = side == TruncationSide::right ? all.begin() + 1 : all.end() - 1 - kept;
        ASSERT_TRUE(std::equal(ids.begin() + 1, ids.end() - 1, from)) << max_length;
      }
    }
  });
}

TEST_F(HostileTest, AppendsBehindWhatIsThere) {
  std::vector<std::int32_t> ids = {7}, token_types;
  tokenizer_.encode("the", {}, *scratch_, ids);
  EXPECT_EQ(ids.size(), 4U);
  EXPECT_EQ(ids.front(), 7);
  tokenizer_.encode({"the", "movie"}, {}, *scratch_, ids, &token_types);
  EXPECT_EQ(ids.size(), 9U);
  EXPECT_EQ(token_types, (std::vector<std::int32_t>{0, 0, 0, 1, 1}));
}

TEST_F(HostileTest, WarmEncodingAllocatesNothing) {
  with_each([&] {
    const std::vector<std::string> texts = {
        repeated("The movie was unaffable, na\u00efve and 50\u00b0C. [SEP] ", 5000),
        repeated("internationalizations of \u4e2d\u6587 \U0001F600 x\u0301 ", 3000), "short", ""};
    std::vector<std::int32_t> ids, token_types;
    const auto encode_all = [&] {
      for (const Route route : {Route::fastest, Route::by_stages}) {
        EncodeOptions options;
        options.route = route;
        for (const auto side : {TruncationSide::right, TruncationSide::left}) {
          options.truncation_side = side;
          for (const std::string& text : texts) {
            ids.clear();
            token_types.clear();
            tokenizer_.encode(text, options, *scratch_, ids);
            tokenizer_.encode({text, texts[0]}, options, *scratch_, ids, &token_types);
          }
        }
      }
    };
    encode_all();
    const std::size_t before = allocations;
    encode_all();
    EXPECT_EQ(allocations - before, 0U);
  });
}

TEST_F(HostileTest, AScratchOfAnotherTokenizerIsOurBug) {
  const Tokenizer other =
      Tokenizer::load((testing::source_dir() / "tests/text/data/cased").string()).value();
  std::vector<std::int32_t> ids;
  EXPECT_DEATH(other.encode("the", {}, *scratch_, ids), "another tokenizer");
}

}  // namespace
}  // namespace breakeven::text
