// What stands in the bodies: JSON of four interfaces -> texts and how the answer is wanted, answers
// -> JSON. Our own, and those of Text Embeddings Inference, vLLM and the Open Inference Protocol,
// so that their clients work as they are. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/problem_type.h"
#include "base/text.h"
#include "serve/problem.h"

namespace breakeven::serve {

enum class Route : std::uint8_t {
  classify,        // POST /v1/classify
  classify_lines,  // the same, as NDJSON
  predict,         // POST /predict (TEI)
  vllm,            // POST /classify
  infer,           // POST /v2/models/NAME[/versions/V]/infer
  null,            // POST /null: reads a body, computes nothing
  livez,
  readyz,
  metrics,
  info,
  openapi,
  breakeven,     // GET /v1/breakeven
  page,          // GET /
  server,        // GET /v2
  server_live,   // GET /v2/health/live
  server_ready,  // GET /v2/health/ready
  model,         // GET /v2/models/NAME
  model_ready,   // GET /v2/models/NAME/ready
};
bool takes_post(Route route);

// HEAD is taken where GET is. Errors: 404 http/path, 405 http/method.
Checked<Route> find_route(std::string_view method, std::string_view path, std::string_view model);

// A route of the interface that a path belongs to, for how problems are told there.
Route interface_of(std::string_view path);

// The model that answers, as far as bodies tell of it.
struct Served {
  std::string model, device, precision;
  std::vector<std::string> labels;
  ScoreFunction function = ScoreFunction::softmax;
  std::size_t max_length = 512;  // tokens at which a text is cut
  bool takes_pairs = true;
  // Tokens of a whole text, however many.
  std::function<std::size_t(const Text&)> count_tokens;
  // Scores of a text's logits.
  std::function<void(std::span<const float> logits, std::span<float> scores)> score;
  // What a record of a measurement says of the model, the machine and the setup, as JSON (of
  // record/json.h): for /info. May be none.
  std::shared_future<std::string> record{};
};

struct BodyLimits {
  std::size_t texts = 64;  // of one request
  std::size_t text_bytes = 64UL * 1024;
};

struct OwnedText {
  std::string first;
  std::optional<std::string> second{};
  Text view() const { return second ? Text(first, *second) : Text(first); }
  std::size_t bytes() const { return first.size() + (second ? second->size() : 0); }
};

// How an answer is wanted.
struct Form {
  Route route = Route::classify;
  bool one = false;      // one text was asked for, not a list of them
  std::size_t top = 1;   // labels with their scores
  bool raw = false;      // logits instead of scores
  bool truncate = true;  // what is too long is cut, else refused
  // Of infer alone.
  struct Output {
    std::string name;
    bool binary = false;             // behind the JSON, as bytes
    std::size_t classification = 0;  // of "label": so many "score:index:label"
  };
  std::string id{};               // given by the client
  std::vector<Output> outputs{};  // that are wanted
  double limit_s = 0;             // "timeout": 0 = none was given
};

struct Ask {
  std::vector<OwnedText> texts;
  Form form;
  std::size_t bytes() const;
};

// `json_bytes`: of the body; what follows is binary tensors of the Open Inference Protocol.
// Errors: 400 (no JSON, with the byte; a list of none), 413 (too many, too long), 422 (what the
// JSON says: unknown or wrong fields by name, text that is not UTF-8, a pair for a model that takes
// none, a text over max_length that must not be cut).
Checked<Ask> parse_ask(Route route, std::string_view body, const Served& served,
                       const BodyLimits& limits, std::optional<std::size_t> json_bytes = {});

struct TextAnswer {
  std::vector<float> logits;         // [C]
  std::uint32_t tokens = 0;          // computed
  std::size_t truncated_tokens = 0;  // that were cut off
};
struct Answer {
  std::vector<TextAnswer> texts;
  double queue_s = 0, tokenize_s = 0, compute_s = 0;  // add up to the time from the request's last
                                                      // byte to its answer
  std::size_t batch = 0;  // texts of the largest batch with one of these
  std::string device{};
};

struct Rendered {
  std::string body;
  std::optional<std::size_t> json_bytes{};  // the rest is binary tensors
};
Rendered render(const Form& form, const Answer& answer, const Served& served);
// In the way of the route's interface.
std::string render_problem(Route route, const Problem& problem);
// For routes that ask nothing but what is known: GET /info, /v2, /v2/models/NAME.
std::string render_model(const Served& served);
std::string render_server();

// "text" as JSON, quotes included; what is not UTF-8 becomes U+FFFD.
std::string json_text(std::string_view text);

}  // namespace breakeven::serve
