#include "text/sentencepiece.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/files.h"
#include "base/utf8.h"
#include "text/charsmap.h"
#include "text/models/unigram.h"
#include "text/normalizers/lowercase.h"
#include "text/normalizers/precompiled.h"
#include "text/normalizers/replace.h"
#include "text/normalizers/strip.h"
#include "text/part_kinds.h"
#include "text/pre_tokenizers/by_character.h"
#include "text/pre_tokenizers/metaspace.h"
#include "text/protobuf.h"

namespace breakeven::text {
namespace {

using Model = SentencePieceModel;
using Class = TokenizerConfig::Class;

// Numbers of fields, as SentencePiece's schema has them.
namespace field {
constexpr std::uint32_t kPieces = 1, kTrainer = 2, kNormalizer = 3;       // of the file
constexpr std::uint32_t kPieceText = 1, kPieceScore = 2, kPieceType = 3;  // of a piece
constexpr std::uint32_t kModelType = 3, kUnknownId = 40;                  // of the trainer
constexpr std::uint32_t kCharsmap = 2;                                    // of the normaliser
}  // namespace field

// By their numbers.
constexpr std::string_view kModelTypes[] = {"", "Unigram", "BPE", "Word", "Char"};
constexpr std::uint64_t kUnigramType = 1;

tl::unexpected<Error> broken(const std::string& path, std::string_view what) {
  return fail("tokenizer/vocabulary", fmt::format("{}: {}", path, what), "download the file again");
}

// Calls on_field for each field of a message.
template <class OnField>
Result<void> read_message(std::string_view message, const std::string& path, OnField on_field) {
  ProtobufReader reader(message);
  while (const auto field = reader.next()) BREAKEVEN_TRY_VOID(on_field(*field));
  if (reader.broken()) return broken(path, "it is not SentencePiece's, or it is cut off");
  return {};
}

Result<Model::Piece> read_piece(std::string_view message, const std::string& path) {
  Model::Piece piece;
  BREAKEVEN_TRY_VOID(
      read_message(message, path, [&](const ProtobufReader::Field& each) -> Result<void> {
        if (each.number == field::kPieceText) piece.text = each.bytes;
        if (each.number == field::kPieceScore)
          piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(each.value));
        if (each.number == field::kPieceType) {
          constexpr auto kLast = static_cast<std::uint64_t>(Model::Type::byte);
          if (each.value == 0 || each.value > kLast)
            return broken(path, fmt::format("a piece has type {}", each.value));
          piece.type = static_cast<Model::Type>(each.value);
        }
        return {};
      }));
  if (!is_valid_utf8(piece.text)) return broken(path, "a piece is not UTF-8");
  if (!std::isfinite(piece.score))
    return broken(path, fmt::format("piece '{}' has the score {}", piece.text, piece.score));
  return piece;
}

Result<void> read_trainer(std::string_view message, const std::string& path, Model& model,
                          std::uint64_t& type) {
  return read_message(message, path, [&](const ProtobufReader::Field& each) -> Result<void> {
    if (each.number == field::kModelType) type = each.value;
    if (each.number == field::kUnknownId)
      model.unknown_id = static_cast<std::int32_t>(static_cast<std::uint32_t>(each.value));
    return {};
  });
}

struct NamedFile {
  Class tokenizer_class;
  const char* name;
};
constexpr NamedFile kFiles[] = {{Class::xlm_roberta, "sentencepiece.bpe.model"},
                                {Class::camembert, "sentencepiece.bpe.model"},
                                {Class::deberta_v2, "spm.model"}};

// The pieces with the class's tokens around them: XLM-RoBERTa and CamemBERT have fairseq's ids, in
// front of the pieces that are no special ones of SentencePiece.
Result<void> take_pieces(const std::string& path, const Model& file, Class kind, ModelSpec& spec) {
  struct Entry {
    const char* text;
    double score;
  };
  std::vector<Entry> first;
  std::size_t skipped = 0;
  spec.unknown_id = 3;
  if (kind == Class::xlm_roberta) {
    first = {{"<s>", 0}, {"<pad>", 0}, {"</s>", 0}, {"<unk>", 0}};
    skipped = 3;
  } else if (kind == Class::camembert) {
    first = {
        {"<s>NOTUSED", 0}, {"<pad>", 0}, {"</s>NOTUSED", 0}, {"<unk>", 0}, {"<unk>NOTUSED", -100}};
    skipped = 1;
  } else {
    spec.unknown_id = file.unknown_id;
  }
  UnigramEntries entries(path, spec);
  for (const Entry& each : first) BREAKEVEN_TRY_VOID(entries.add(each.text, each.score));
  for (std::size_t i = skipped; i < file.pieces.size(); ++i)
    BREAKEVEN_TRY_VOID(entries.add(file.pieces[i].text, file.pieces[i].score));
  if (!first.empty()) BREAKEVEN_TRY_VOID(entries.add("<mask>", 0));
  BREAKEVEN_TRY_VOID(entries.check_size());
  if (spec.unknown_id < 0 || static_cast<std::size_t>(spec.unknown_id) >= spec.vocabulary.size())
    return unsupported(path, fmt::format("a model with the unknown id {}", spec.unknown_id),
                       "one of its pieces");
  spec.unknown_token = spec.vocabulary[static_cast<std::size_t>(spec.unknown_id)].first;
  return {};
}

Result<std::unique_ptr<Normalizer>> make_normalizer(const std::string& path, const Model& file,
                                                    const TokenizerConfig& config) {
  const bool deberta = config.is(Class::deberta_v2);
  std::vector<std::unique_ptr<Normalizer>> steps;
  if (deberta) {
    if (config.do_lower_case) steps.push_back(std::make_unique<LowercaseNormalizer>());
    steps.push_back(std::make_unique<StripNormalizer>(StripNormalizer::Flags{}));
  }
  if (!file.charsmap.empty()) {
    BREAKEVEN_TRY(Charsmap map, Charsmap::parse(file.charsmap, path));
    steps.push_back(std::make_unique<PrecompiledNormalizer>(std::move(map)));
  }
  if (!deberta)
    steps.push_back(std::make_unique<StripNormalizer>(StripNormalizer::Flags{.left = false}));
  steps.push_back(std::make_unique<ReplaceNormalizer>(
      ReplaceNormalizer::Pattern::blanks, std::u32string(), deberta ? U" " : U"\u2581"));
  return in_sequence(std::move(steps));
}

Result<Processor> make_processor(const std::string& path, Class kind, const ModelSpec& model) {
  const auto find = [&](const std::string& token) -> Result<std::int32_t> {
    for (const auto& [entry, id] : model.vocabulary)
      if (entry == token) return id;
    return broken(path, fmt::format("there is no piece '{}', which goes around a text", token));
  };
  const bool deberta = kind == Class::deberta_v2;
  BREAKEVEN_TRY(const std::int32_t cls, find(deberta ? "[CLS]" : "<s>"));
  BREAKEVEN_TRY(const std::int32_t sep, find(deberta ? "[SEP]" : "</s>"));
  return (deberta ? bert_processor : roberta_processor)(cls, sep);
}

}  // namespace

Result<SentencePieceModel> parse_sentencepiece(std::string_view bytes, const std::string& path) {
  Model model;
  std::uint64_t type = kUnigramType;
  BREAKEVEN_TRY_VOID(
      read_message(bytes, path, [&](const ProtobufReader::Field& each) -> Result<void> {
        if (each.number == field::kPieces) {
          BREAKEVEN_TRY(Model::Piece piece, read_piece(each.bytes, path));
          model.pieces.push_back(std::move(piece));
        }
        if (each.number == field::kTrainer) return read_trainer(each.bytes, path, model, type);
        if (each.number != field::kNormalizer) return {};
        return read_message(each.bytes, path,
                            [&](const ProtobufReader::Field& part) -> Result<void> {
                              if (part.number == field::kCharsmap) model.charsmap = part.bytes;
                              return {};
                            });
      }));
  if (type >= std::size(kModelTypes) || type == 0)
    return broken(path, fmt::format("it has the model type {}", type));
  if (type != kUnigramType)
    return unsupported(path, fmt::format("a {} model of SentencePiece", kModelTypes[type]),
                       "Unigram");
  if (model.pieces.empty()) return broken(path, "it has no pieces");
  return model;
}

std::optional<std::filesystem::path> find_sentencepiece(const std::filesystem::path& folder,
                                                        const TokenizerConfig& config) {
  for (const NamedFile& each : kFiles)
    if (config.is(each.tokenizer_class) && is_there(folder / each.name)) return folder / each.name;
  return {};
}

Result<void> read_sentencepiece(const std::filesystem::path& file_path,
                                const TokenizerConfig& config, TokenizerSpec& spec) {
  const std::string path = file_path.string();
  BREAKEVEN_TRY(const std::string content, read_file(path));
  BREAKEVEN_TRY(const Model file, parse_sentencepiece(content, path));
  spec.model.kind = &kUnigram;
  spec.model.bert_words = false;
  BREAKEVEN_TRY_VOID(take_pieces(path, file, config.tokenizer_class, spec.model));
  BREAKEVEN_TRY(spec.normalizer, make_normalizer(path, file, config));
  spec.normalizer_type = kSequence;
  std::unique_ptr<PreTokenizer> before;
  if (config.is(Class::deberta_v2) && config.split_by_punct)
    before = std::make_unique<ByCharacter>(std::vector<Splitter>{isolate_punctuation});
  spec.pre_tokenizer = std::make_unique<Metaspace>(Metaspace::Flags{}, std::move(before));
  BREAKEVEN_TRY(spec.processor, make_processor(path, config.tokenizer_class, spec.model));
  for (const Model::Piece& piece : file.pieces) {
    if (piece.type != Model::Type::control && piece.type != Model::Type::user_defined) continue;
    AddedToken& token = spec.added.emplace_back();
    token.content = piece.text;
    token.special = piece.type == Model::Type::control;
  }
  return {};
}

}  // namespace breakeven::text
