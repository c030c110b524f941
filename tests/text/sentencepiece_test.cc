// SentencePiece's own files: what is read, what is refused. Ids against Transformers 4 are in
// golden_test.cc.
#include "text/sentencepiece.h"

#include <bit>
#include <limits>

#include "text/protobuf.h"
#include "tokenizer_folder.h"

namespace breakeven::text {
namespace {

using ::testing::ElementsAre;

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}
std::string number(std::uint32_t field, std::uint64_t value) {
  return varint(std::uint64_t{field} << 3) + varint(value);
}
std::string bytes(std::uint32_t field, const std::string& content) {
  return varint(std::uint64_t{field} << 3 | 2) + varint(content.size()) + content;
}
std::string piece(const std::string& text, float score, std::uint64_t type = 1) {
  const auto bits = std::bit_cast<std::uint32_t>(score);
  std::string fixed = varint(2 << 3 | 5);
  for (unsigned shift = 0; shift < 32; shift += 8)
    fixed.push_back(static_cast<char>(bits >> shift));
  return bytes(1, bytes(1, text) + fixed + number(3, type));
}

std::string small_model() {
  return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("\u2581", -3) +
         piece("a", -2) + piece("\u2581a", -2.5F) + piece("b", -4);
}

class SentencePieceTest : public TokenizerFolder {
 protected:
  SentencePieceTest() { write("config.json", R"({"model_type": "xlm-roberta"})"); }
  void write_model(const std::string& content) { write("sentencepiece.bpe.model", content); }
};

TEST_F(SentencePieceTest, FieldsOfAMessage) {
  const std::string message = number(1, 300) + bytes(2, "hi") + varint(3 << 3 | 5) + "abcd" +
                              varint(4 << 3 | 1) + "abcdefgh" + number(1000, ~std::uint64_t{0});
  ProtobufReader reader(message);
  EXPECT_EQ(reader.next()->value, 300U);
  EXPECT_EQ(reader.next()->bytes, "hi");
  EXPECT_EQ(reader.next()->value, 0x64636261U);
  EXPECT_EQ(reader.next()->value, 0x6867666564636261U);
  const auto last = reader.next();
  EXPECT_EQ(last->number, 1000U);
  EXPECT_EQ(last->value, ~std::uint64_t{0});
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.broken());
  const std::string eleven(11, '\xff');
  for (const std::string& wrong :
       {std::string("\x0a\x05hi"), std::string("\x0d\x01\x02"), std::string("\x0b"),
        "\x08" + eleven, std::string("\x08"), std::string("\x02\x01x"), std::string("\x0f\x01")}) {
    ProtobufReader broken(wrong);
    EXPECT_FALSE(broken.next()) << wrong;
    EXPECT_TRUE(broken.broken()) << wrong;
    EXPECT_FALSE(broken.next());
  }
}

TEST_F(SentencePieceTest, TheClassNumbersThePieces) {
  write_model(small_model());
  EXPECT_THAT(ids("a b "), ElementsAre(0, 6, 4, 7, 2));
  EXPECT_THAT(ids("a <mask>x"), ElementsAre(0, 6, 8, 4, 3, 2));
  EXPECT_EQ(loaded().token(8), "<mask>");
  write("config.json", R"({"model_type": "camembert"})");
  EXPECT_THAT(ids("a b "), ElementsAre(5, 9, 7, 10, 6));
  write(tokenizer_);  // tokenizer.json counts where there is one
  EXPECT_THAT(ids("movie"), ElementsAre(2, 6, 3));
}

TEST_F(SentencePieceTest, WhatIsNoSuchModelIsRefused) {
  const std::string model = small_model();
  for (const auto& [content, code, message] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {model + bytes(2, number(3, 2)), "tokenizer/unsupported", "a BPE model"},
           {model + bytes(2, number(3, 3)), "tokenizer/unsupported", "a Word model"},
           {model + bytes(2, number(3, 4)), "tokenizer/unsupported", "a Char model"},
           {model + bytes(2, number(3, 5)), "tokenizer/vocabulary", "model type 5"},
           {model + piece("a", -1), "tokenizer/vocabulary", "'a' stands there twice"},
           {model + piece("c", std::numeric_limits<float>::quiet_NaN()), "tokenizer/vocabulary",
            "'c' has the score nan"},
           {model + piece("c", -1, 9), "tokenizer/vocabulary", "a piece has type 9"},
           {model + piece("\xff", -1), "tokenizer/vocabulary", "not UTF-8"},
           {model + bytes(3, bytes(2, "abc")), "tokenizer/json", "3 bytes do not hold an array"},
           {"", "tokenizer/vocabulary", "no pieces"},
           {"not a model", "tokenizer/vocabulary", "cut off"}}) {
    write_model(content);
    expect_refused(code, message);
  }
  write("config.json", R"({"model_type": "deberta-v2"})");
  write("spm.model", model);
  expect_refused("tokenizer/vocabulary", "no piece '[CLS]'");
  write("spm.model", model + bytes(2, number(40, 7)));
  expect_refused("tokenizer/unsupported", "the unknown id 7");
  write("spm.model", model + bytes(2, number(40, ~std::uint64_t{0})));
  expect_refused("tokenizer/unsupported", "the unknown id -1");
}

TEST_F(SentencePieceTest, ACutOffFileIsRefusedOrShorter) {
  const std::string model = small_model();
  for (std::size_t length = 0; length < model.size(); ++length) {
    const auto parsed = parse_sentencepiece(model.substr(0, length), "here");
    if (parsed) {
      EXPECT_LT(parsed->pieces.size(), 7U);
    } else {
      EXPECT_EQ(parsed.error().code, "tokenizer/vocabulary");
    }
  }
}

TEST_F(SentencePieceTest, AFileOfAnotherClassIsRefusedByName) {
  write("spm.model", small_model());
  expect_refused("tokenizer/unsupported", "spm.model and no tokenizer.json");
  write("spiece.model", small_model());
  expect_refused("tokenizer/unsupported", "spiece.model and no tokenizer.json");
  write("config.json", "{}");
  write_model(small_model());
  expect_refused("tokenizer/unsupported", "sentencepiece.bpe.model and no tokenizer.json");
}

}  // namespace
}  // namespace breakeven::text
