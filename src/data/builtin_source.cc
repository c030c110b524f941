#include "data/builtin_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_set>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "data/json_line.h"
#include "data/labels.h"

namespace breakeven::data {
namespace {

constexpr std::string_view kReviewsJsonl =
#include "builtin_reviews.inc"
    ;

constexpr std::string_view kBreak = "<br /><br />";
constexpr std::size_t kBreakTokens = 8;    // < br / > twice
constexpr std::size_t kSpecialTokens = 2;  // [CLS] and [SEP]

std::vector<BuiltinReview> parse_reviews() {
  std::vector<BuiltinReview> reviews;
  std::string_view rest = kReviewsJsonl;
  std::vector<JsonField> fields;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    fields.clear();
    const auto parsed = parse_object(rest.substr(0, end), fields);
    BREAKEVEN_CHECK(
        parsed && fields.size() == 2 && fields[0].key == "label" && fields[1].key == "text",
        "data/reviews.jsonl, review {}", reviews.size() + 1);
    BuiltinReview review;
    review.positive = fields[0].value == "\"positive\"";
    review.text = decode_string(fields[1].value);
    review.tokens = estimate_tokens(review.text);
    reviews.push_back(std::move(review));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return reviews;
}

struct Joined {
  std::vector<std::size_t> parts;  // indices into builtin_reviews()
  std::vector<bool> breaks;        // before part i + 1: a paragraph break, else a blank
  double tokens = kSpecialTokens;
};

// One random attempt at `target` tokens from `pool`, whose order it changes.
Joined join_once(std::vector<std::size_t>& pool, double target, Random& random) {
  const auto& reviews = builtin_reviews();
  random.scaled_shuffle(pool);
  Joined joined;
  for (const std::size_t candidate : pool) {
    const bool with_break = !joined.parts.empty() && random.scaled_below(2) == 0;
    const double tokens = static_cast<double>(reviews[candidate].tokens) +
                          static_cast<double>(with_break ? kBreakTokens : 0);
    if (joined.tokens + tokens > 1.04 * target + 1) continue;
    if (!joined.parts.empty()) joined.breaks.push_back(with_break);
    joined.parts.push_back(candidate);
    joined.tokens += tokens;
    if (joined.tokens >= 0.97 * target) break;
  }
  return joined;
}

// The first attempt within 4 % of the target, else the nearest of many.
Joined join_to(std::vector<std::size_t>& pool, double target, Random& random) {
  constexpr int kAttempts = 40;
  Joined best;
  double best_error = 1e30;
  for (int attempt = 0; attempt < kAttempts && best_error > 0.04 * target; ++attempt) {
    Joined joined = join_once(pool, target, random);
    const double error = joined.parts.empty() ? 1e29 : std::abs(joined.tokens - target);
    if (error < best_error) {
      best_error = error;
      best = std::move(joined);
    }
  }
  if (best.parts.empty()) {
    // Shorter than any original: the shortest it is.
    const auto& reviews = builtin_reviews();
    best.parts = {*std::min_element(pool.begin(), pool.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(reviews[a].tokens, a) < std::pair(reviews[b].tokens, b);
    })};
  }
  return best;
}

class BuiltinSource final : public Source {
 public:
  explicit BuiltinSource(const SourceOptions& options)
      : seed_(options.seed), sentiments_(options.labels) {
    // A start of its own for each seed.
    Random random(seed_);
    start_ = static_cast<double>(random.next() >> 11) * 0x1p-53;
  }

  std::string name() const override { return "builtin"; }
  std::string note() const override {
    return fmt::format(
        "built-in reviews: {} written for this project, joined to the lengths of IMDB's{}",
        builtin_reviews().size(), sentiments_.note());
  }

  Result<std::optional<Review>> next() override {
    if (next_ >= kBuiltinTexts) return std::optional<Review>();
    const std::size_t i = next_++;
    constexpr double kGolden = 0.6180339887498949;
    const double share = std::fmod(start_ + static_cast<double>(i) * kGolden, 1.0);
    // Each pair of neighbours has both labels, in an order of its own.
    Random pair(seed_ * 0x9E3779B97F4A7C15ULL + i / 2);
    const bool positive = (pair.scaled_below(2) == 0) == (i % 2 == 0);
    Random random(pair.next() + i % 2);
    // Equal texts are avoided as far as the originals allow: the very short ones soon run out.
    Review review;
    for (int attempt = 0; attempt < 8; ++attempt) {
      review = make(positive, imdb_tokens(share), random);
      if (handed_out_.insert(fingerprint(review.text)).second) break;
    }
    return std::optional(std::move(review));
  }

 private:
  Review make(bool positive, double target, Random& random) const {
    const auto& reviews = builtin_reviews();
    std::vector<std::size_t> pool;
    for (std::size_t i = 0; i < reviews.size(); ++i) {
      if (reviews[i].positive == positive) pool.push_back(i);
    }
    const Joined joined = join_to(pool, target, random);
    Review review;
    for (std::size_t i = 0; i < joined.parts.size(); ++i) {
      const BuiltinReview& part = reviews[joined.parts[i]];
      if (i > 0) review.text += joined.breaks[i - 1] ? kBreak : std::string_view(" ");
      review.text += part.text;
      review.originals.push_back(fingerprint(part.text));
    }
    review.label = sentiments_.of(positive);
    return review;
  }

  std::uint64_t seed_;
  double start_ = 0;
  std::size_t next_ = 0;
  std::unordered_set<std::uint64_t> handed_out_;
  Sentiments sentiments_;
};

bool is_word_byte(unsigned char c) {
  return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

const std::vector<BuiltinReview>& builtin_reviews() {
  static const std::vector<BuiltinReview> kReviews = parse_reviews();
  return kReviews;
}

std::size_t estimate_tokens(std::string_view text) {
  std::size_t pieces = 0;
  bool in_word = false;
  for (const char c : text) {
    const bool word = is_word_byte(static_cast<unsigned char>(c));
    if (word ? !in_word : static_cast<unsigned char>(c) > ' ') ++pieces;
    in_word = word;
  }
  return static_cast<std::size_t>(std::lround(1.03 * static_cast<double>(pieces)));
}

double imdb_tokens(double share) {
  // Quantiles of the 25,000 test reviews with the vocabulary of bert-base-uncased, straight lines
  // between them.
  struct Point {
    double share, tokens;
  };
  static constexpr std::array<Point, 19> kPoints = {{
      {0.00, 10},   {0.01, 55},    {0.02, 63},    {0.05, 82},   {0.10, 120},
      {0.20, 158},  {0.30, 178},   {0.40, 201},   {0.50, 232},  {0.60, 274},
      {0.70, 334},  {0.80, 429},   {0.90, 604},   {0.95, 792},  {0.98, 1042},
      {0.99, 1204}, {0.995, 1309}, {0.999, 1421}, {1.00, 3157},
  }};
  share = std::clamp(share, 0.0, 1.0);
  std::size_t i = 1;
  while (i + 1 < kPoints.size() && kPoints[i].share < share) ++i;
  const Point& a = kPoints[i - 1];
  const Point& b = kPoints[i];
  return a.tokens + (b.tokens - a.tokens) * (share - a.share) / (b.share - a.share);
}

std::unique_ptr<Source> make_builtin_source(const SourceOptions& options) {
  return std::make_unique<BuiltinSource>(options);
}

}  // namespace breakeven::data
