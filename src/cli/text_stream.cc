#include "cli/text_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/numbers.h"
#include "classifier/ranking.h"
#include "data/json_line.h"
#include "engine/decode.h"

namespace breakeven::cli {
namespace {

// Fills the window; the error that ended it early, if one did. `more` is false at the end.
std::optional<Error> read_window(data::Source& source, std::size_t max_texts, std::size_t max_bytes,
                                 Window& window, bool& more) {
  window.first += window.reviews.size();
  window.reviews.clear();
  std::optional<Error> problem;
  std::size_t bytes = 0;
  while (more && window.reviews.size() < max_texts && bytes < max_bytes) {
    auto next = source.next();
    if (!next) problem = next.error();
    more = next && next->has_value();
    if (!more) break;
    data::Review& review = **next;
    bytes += review.view().bytes() + review.extra.size();
    window.reviews.push_back(std::move(review));
  }
  window.texts.clear();
  for (const data::Review& review : window.reviews) window.texts.push_back(review.view());
  return problem;
}

// "[a,b]": `append` adds one value to `out`.
template <class T, class Append>
void append_list(std::span<T> values, std::string& out, const Append& append) {
  out += '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    append(values[i]);
  }
  out += ']';
}

void append_rejected(std::uint64_t index, const std::string& why, std::string& out) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"index":{},"label":null,"score":null,"logits":null,"breakeven_rejected":)",
                 index);
  data::append_json_string(why, out);
}

// A name that is misspelt keeps nothing.
void tell_unknown(const std::set<std::string>& keep, const Window& window) {
  std::set<std::string> unknown = keep;
  std::vector<data::JsonField> fields;
  for (const data::Review& review : window.reviews) {
    fields.clear();
    if (review.extra.empty() || !data::parse_object(review.extra, fields)) continue;
    for (const data::JsonField& field : fields) unknown.erase(data::decode_key(field.key));
  }
  if (unknown.empty()) return;
  tell(fmt::format("--keep {}: none of the first {} records has it", fmt::join(unknown, ","),
                   window.reviews.size()));
}

}  // namespace

Result<void> for_each_window(data::Source& source, const WindowLimits& limits,
                             const std::function<Result<void>(const Window& window)>& use) {
  Window window;
  std::size_t max_texts = limits.first_texts;
  for (bool more = true; more;) {
    std::optional<Error> problem = read_window(source, max_texts, limits.bytes, window, more);
    if (!window.texts.empty()) BREAKEVEN_TRY_VOID(use(window));
    if (problem) return tl::unexpected<Error>(*std::move(problem));
    max_texts = std::min(max_texts * 2, limits.texts);
  }
  return {};
}

Result<void> stream_texts(data::Source& source, const WindowLimits& limits,
                          const WindowToLines& convert, Output& output) {
  std::string lines;
  return for_each_window(source, limits, [&](const Window& window) -> Result<void> {
    lines.clear();
    BREAKEVEN_TRY_VOID(convert(window, lines));
    return output.write(lines, window.texts.size());
  });
}

void append_extra(std::string_view extra, const std::vector<std::string_view>& taken,
                  std::string& out, const std::optional<std::set<std::string>>& keep) {
  if (extra.empty() || (keep && keep->empty())) return;
  std::vector<data::JsonField> fields;
  const auto parsed = data::parse_object(extra, fields);
  BREAKEVEN_CHECK(parsed.has_value(), "{}", extra);
  const auto is_field = [&fields](std::string_view name) {
    return std::any_of(fields.begin(), fields.end(), [name](const data::JsonField& field) {
      return data::decode_key(field.key) == name;
    });
  };
  const auto is_taken = [&taken](std::string_view name) {
    return std::find(taken.begin(), taken.end(), name) != taken.end();
  };
  for (const data::JsonField& field : fields) {
    std::string key = data::decode_key(field.key);
    if (keep && !keep->contains(key)) continue;
    out += ',';
    if (is_taken(key)) {
      do {
        key.insert(0, "input_");
      } while (is_field(key));
      data::append_json_string(key, out);
    } else {
      out.append("\"").append(field.key).append("\"");
    }
    out += ':';
    out += field.value;
  }
}

Result<void> label_texts(data::Source& source, Classifier& classifier, std::size_t batch,
                         const LabelForm& form, const WindowLimits& limits, Output& output,
                         LabelCounts& counts) {
  const ClassifierInfo info = classifier.info();
  std::vector<std::string> label_json(info.labels.size());
  for (std::size_t i = 0; i < info.labels.size(); ++i) {
    data::append_json_string(info.labels[i], label_json[i]);
  }
  std::vector<std::string_view> taken = {"index", "label", "score", "logits"};
  if (form.top > 0) taken.emplace_back("scores");
  StreamResult result;
  std::vector<float> scores;
  std::vector<std::size_t> order;
  const auto append_label = [&](std::uint64_t index, std::span<const float> logits,
                                std::string& lines) {
    engine::score(logits, form.function, scores);
    rank_labels(scores, order);
    fmt::format_to(std::back_inserter(lines), R"({{"index":{},"label":{},"score":)", index,
                   label_json[order.front()]);
    append_float(scores[order.front()], lines);
    lines += ",\"logits\":";
    append_list(logits, lines, [&](float logit) { append_float(logit, lines); });
    if (form.top > 0) {
      lines += ",\"scores\":";
      append_list(std::span(order).first(std::min(form.top, label_json.size())), lines,
                  [&](std::size_t label) {
                    lines.append("{\"label\":").append(label_json[label]).append(",\"score\":");
                    append_float(scores[label], lines);
                    lines += '}';
                  });
    }
  };
  const auto convert = [&](const Window& window, std::string& lines) -> Result<void> {
    if (form.keep && form.first_index + window.first == 0) tell_unknown(*form.keep, window);
    Lap lap(monotonic_clock());
    BREAKEVEN_TRY_VOID(classifier.run_stream(window.texts, batch, result));
    counts.compute_s += lap.seconds();
    counts.computed_tokens += result.computed_tokens;
    const std::size_t count = window.texts.size();
    BREAKEVEN_CHECK(result.labels.size() == count && result.cut.size() == count &&
                        result.logits.size() % count == 0,
                    "{} labels of {} texts", result.labels.size(), count);
    const std::size_t classes = result.logits.size() / count;
    BREAKEVEN_CHECK(classes == label_json.size(), "{} logits a text", classes);
    scores.resize(classes);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t index = form.first_index + window.first + i;
      const auto logits = std::span(result.logits).subspan(i * classes, classes);
      if (const auto rejected = form.rejected.find(index); rejected != form.rejected.end()) {
        append_rejected(index, rejected->second, lines);
      } else {
        append_label(index, logits, lines);
      }
      append_extra(window.reviews[i].extra, taken, lines, form.keep);
      lines += "}\n";
      ++counts.texts;
      counts.cut += result.cut[i];
      counts.tokens += result.tokens[i];
    }
    return {};
  };
  auto streamed = stream_texts(source, limits, convert, output);
  counts.texts = output.records();
  return streamed;
}

}  // namespace breakeven::cli
