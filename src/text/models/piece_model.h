// How a word becomes ids of the vocabulary. tokenizer.json names one kind as its "model"; each has
// a file of its own beside this one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/id_sink.h"

namespace breakeven::text {

// Memory that word_to_ids() uses again.
struct ModelBuffers {
  std::string word;
  std::vector<std::int32_t> ids;
  // Of a long word: its symbols' neighbours, and the pairs that may merge by rank and place.
  struct Queue {
    std::vector<std::uint32_t> next, previous;
    std::vector<std::uint64_t> pairs;
  };
  Queue queue;
  // Of Unigram: the best way to each place of a word, and where the parts of the best one end.
  struct Reached {
    static constexpr std::uint32_t kNever = static_cast<std::uint32_t>(-1);
    double score;
    std::uint32_t start;  // of its last part
    std::int32_t id;      // of its last part
  };
  std::vector<Reached> reached;
  std::vector<std::uint32_t> ends;
};

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  // Appends the ids of one word of `chars` code points.
  virtual void word_to_ids(std::string_view word, std::size_t chars, ModelBuffers& buffers,
                           IdSink& ids) const = 0;
  // The vocabulary entry of an id; empty for an id that has none.
  virtual std::string_view entry(std::int32_t id) const = 0;
};

struct ModelSpec;
struct ModelKind {
  std::string_view type;  // "WordPiece"
  Result<void> (*read)(const JsonObject& model, ModelSpec& spec);
  std::unique_ptr<PieceModel> (*make)(const ModelSpec& spec);
};
extern const ModelKind kWordPiece, kBpe, kUnigram;

// A model as its files describe it, with every default filled in.
struct ModelSpec {
  const ModelKind* kind = &kWordPiece;
  bool is_bpe() const { return kind->type == kBpe.type; }
  bool is_unigram() const { return kind->type == kUnigram.type; }
  std::vector<std::pair<std::string, std::int32_t>> vocabulary;  // entry, id; no entry twice
  std::string unknown_token = "[UNK]";                           // "": there is none
  std::int32_t unknown_id = 0;
  // WordPiece
  std::string continuing_prefix = "##";
  std::size_t max_chars_per_word = 100;
  // Words come from BertPreTokenizer: no whitespace in them, and punctuation only on its own.
  bool bert_words = true;
  // BPE
  struct Merge {
    std::int32_t left, right, result;
  };
  std::vector<Merge> merges;   // by rank
  bool ignore_merges = false;  // a word that is an entry is its id, whatever merges say
  bool fuse_unknown = false;   // one unknown id for a run of unknown symbols
  // Unigram
  std::vector<double> scores;  // by id; vocabulary has the same entries in the order of their ids
  bool byte_fallback = false;  // <0x00> ... for the bytes of what is unknown
};

// {"entry": id ...} into `spec`; `where` names it. Errors: tokenizer/vocabulary.
Result<void> read_vocabulary(const JsonObject& vocabulary, const std::string& where,
                             ModelSpec& spec);
// The same of the field "vocab" of a model. Errors: tokenizer/json, tokenizer/vocabulary.
Result<void> read_vocabulary(const JsonObject& model, ModelSpec& spec);

// The part "model" of tokenizer.json into `spec`, but for unknown_id. Errors: tokenizer/json,
// tokenizer/unsupported, tokenizer/vocabulary.
Result<void> read_model(const JsonObject& root, ModelSpec& spec);

}  // namespace breakeven::text
