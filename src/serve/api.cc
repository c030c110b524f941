#include "serve/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/numbers.h"
#include "classifier/ranking.h"

namespace breakeven::serve {
namespace {

struct Known {
  std::string_view method, path;
  Route route;
};
constexpr Known kRoutes[] = {{"POST", "/v1/classify", Route::classify},
                             {"POST", "/predict", Route::predict},
                             {"POST", "/classify", Route::vllm},
                             {"POST", "/null", Route::null},
                             {"GET", "/livez", Route::livez},
                             {"GET", "/readyz", Route::readyz},
                             {"GET", "/metrics", Route::metrics},
                             {"GET", "/info", Route::info},
                             {"GET", "/openapi.json", Route::openapi},
                             {"GET", "/v1/breakeven", Route::breakeven},
                             {"GET", "/", Route::page},
                             {"GET", "/v2", Route::server},
                             {"GET", "/v2/health/live", Route::server_live},
                             {"GET", "/v2/health/ready", Route::server_ready}};

// The labels of one text, the best first.
struct Ranked {
  std::vector<float> scores;       // [C]
  std::vector<std::size_t> order;  // [C]
};
Ranked rank(const TextAnswer& text, const Served& served, bool raw) {
  Ranked ranked{text.logits, {}};
  if (!raw) served.score(text.logits, ranked.scores);
  rank_labels(ranked.scores, ranked.order);
  return ranked;
}

void append_scores(const Ranked& ranked, const Served& served, std::size_t top, std::string& out) {
  out += '[';
  for (std::size_t i = 0; i < std::min(top, ranked.order.size()); ++i) {
    const std::size_t label = ranked.order[i];
    if (i > 0) out += ',';
    out += R"({"label":)" + json_text(served.labels[label]) + R"(,"score":)";
    append_float(ranked.scores[label], out);
    out += '}';
  }
  out += ']';
}

// Without its last brace.
void append_classified(const Form& form, const TextAnswer& text, const Served& served,
                       std::string& out) {
  const Ranked ranked = rank(text, served, form.raw);
  const std::size_t best = ranked.order.front();
  out += R"({"label":)" + json_text(served.labels[best]) + R"(,"score":)";
  append_float(ranked.scores[best], out);
  if (form.top > 1) {
    out += R"(,"scores":)";
    append_scores(ranked, served, form.top, out);
  }
  fmt::format_to(std::back_inserter(out), R"(,"tokens":{},"truncated_tokens":{})", text.tokens,
                 text.truncated_tokens);
}

// The items between the two, with commas.
template <class Append>
void append_list(const Answer& answer, std::string& out, const Append& append) {
  out += '[';
  for (const TextAnswer& text : answer.texts) {
    if (&text != answer.texts.data()) out += ',';
    append(text);
  }
  out += ']';
}

// The Open Inference Protocol's tensors: each element as JSON, or as bytes.
class Tensor {
 public:
  explicit Tensor(bool binary) : binary_(binary) {}
  void add(float value) {
    if (!binary_) {
      next();
      return append_float(value, data);
    }
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    data.append(bytes, sizeof value);
  }
  void add(std::string_view text) {
    if (!binary_) {
      next();
      data += json_text(text);
      return;
    }
    const auto size = static_cast<std::uint32_t>(text.size());
    char bytes[sizeof size];
    std::memcpy(bytes, &size, sizeof size);
    data.append(bytes, sizeof size).append(text);
  }
  std::string data;

 private:
  void next() {
    if (!data.empty()) data += ',';
  }
  bool binary_;
};
static_assert(std::endian::native == std::endian::little, "as the protocol has its bytes");

std::string fill(const Form::Output& output, const Answer& answer, const Served& served) {
  Tensor tensor(output.binary);
  for (const TextAnswer& text : answer.texts) {
    const Ranked ranked = rank(text, served, false);
    if (output.name == "logits") {
      for (const float logit : text.logits) tensor.add(logit);
    } else if (output.name == "score") {
      tensor.add(ranked.scores[ranked.order.front()]);
    } else if (output.classification == 0) {
      tensor.add(served.labels[ranked.order.front()]);
    }
    for (std::size_t i = 0; i < output.classification; ++i) {
      const std::size_t index = ranked.order[i];
      std::string score;
      append_float(ranked.scores[index], score);
      tensor.add(fmt::format("{}:{}:{}", score, index, served.labels[index]));
    }
  }
  return std::move(tensor.data);
}

Rendered render_infer(const Form& form, const Answer& answer, const Served& served) {
  std::string out = R"({"model_name":)" + json_text(served.model) + R"(,"model_version":"1")";
  if (!form.id.empty()) out += R"(,"id":)" + json_text(form.id);
  out += R"(,"outputs":[)";
  std::string binary;
  bool any_binary = false;
  for (const Form::Output& output : form.outputs) {
    if (&output != form.outputs.data()) out += ',';
    std::string shape = std::to_string(answer.texts.size());
    if (output.name == "logits") shape += fmt::format(",{}", served.labels.size());
    if (output.classification > 0) shape += fmt::format(",{}", output.classification);
    const std::string data = fill(output, answer, served);
    out += fmt::format(R"({{"name":"{}","datatype":"{}","shape":[{}],)", output.name,
                       output.name == "label" ? "BYTES" : "FP32", shape);
    if (output.binary) {
      out += fmt::format(R"("parameters":{{"binary_data_size":{}}}}})", data.size());
      binary += data;
      any_binary = true;
    } else {
      out.append(R"("data":[)").append(data).append("]}");
    }
  }
  out += "]}";
  if (!any_binary) return {out};
  const std::size_t json_bytes = out.size();
  return {out + binary, json_bytes};
}

std::string render_vllm(const Form& form, const Answer& answer, const Served& served) {
  std::size_t tokens = 0, index = 0;
  for (const TextAnswer& text : answer.texts) tokens += text.tokens;
  std::string out = R"({"object":"list","model":)" + json_text(served.model) + R"(,"data":)";
  append_list(answer, out, [&](const TextAnswer& text) {
    const Ranked ranked = rank(text, served, form.raw);
    out += fmt::format(R"({{"index":{},"label":{},"probs":[)", index++,
                       json_text(served.labels[ranked.order.front()]));
    for (std::size_t i = 0; i < ranked.scores.size(); ++i) {
      if (i > 0) out += ',';
      append_float(ranked.scores[i], out);
    }
    out += fmt::format(R"(],"num_classes":{}}})", ranked.scores.size());
  });
  return out +
         fmt::format(R"(,"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})", tokens, tokens);
}

// TEI's names of what went wrong.
std::string_view tei_type(int status) {
  if (status == 429) return "Overloaded";
  if (status == 503) return "Unhealthy";
  return status < 500 && status != 424 ? "Validation" : "Backend";
}

}  // namespace

bool takes_post(Route route) {
  return route <= Route::null;
}

Checked<Route> find_route(std::string_view method, std::string_view path, std::string_view model) {
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  std::optional<Known> found;
  for (const Known& known : kRoutes) {
    if (known.path == path) found = known;
  }
  const std::string models = "/v2/models/";
  if (path.starts_with(models)) {
    std::string_view rest = path.substr(models.size());
    if (!model.empty() && rest.starts_with(model)) {
      rest.remove_prefix(model.size());
      if (rest.starts_with("/versions/1")) rest.remove_prefix(11);
      if (rest == "/infer") found = {"POST", path, Route::infer};
      if (rest == "/ready") found = {"GET", path, Route::model_ready};
      if (rest.empty()) found = {"GET", path, Route::model};
    }
  }
  if (!found) {
    return refuse(404, "http/path",
                  fmt::format("there is nothing at {}", json_text(path.substr(0, 100))),
                  "see /openapi.json");
  }
  if (found->method != method && !(found->method == "GET" && method == "HEAD")) {
    return refuse(
        405, "http/method",
        fmt::format("{} takes {}, not {}", path, found->method, json_text(method.substr(0, 20))),
        fmt::format("use {}", found->method));
  }
  return found->route;
}

Route interface_of(std::string_view path) {
  if (path.starts_with("/v2")) return Route::infer;
  if (path == "/predict") return Route::predict;
  return path == "/classify" ? Route::vllm : Route::classify;
}

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Rendered render(const Form& form, const Answer& answer, const Served& served) {
  std::string out;
  switch (form.route) {
    case Route::infer:
      return render_infer(form, answer, served);
    case Route::vllm:
      return {render_vllm(form, answer, served)};
    case Route::predict: {
      const auto append = [&](const TextAnswer& text) {
        append_scores(rank(text, served, form.raw), served, form.top, out);
      };
      if (form.one) {
        append(answer.texts.front());
      } else {
        append_list(answer, out, append);
      }
      return {out};
    }
    default:
      break;
  }
  if (form.route == Route::classify_lines) {
    append_classified(form, answer.texts.front(), served, out);
    out += fmt::format(
        R"(,"device":{},"batch":{},"queue_us":{:.0f},"tokenize_us":{:.0f},"compute_us":{:.0f}}})",
        json_text(answer.device), answer.batch, 1e6 * answer.queue_s, 1e6 * answer.tokenize_s,
        1e6 * answer.compute_s);
    return {out};
  }
  out = R"({"model":)" + json_text(served.model) + R"(,"results":)";
  append_list(answer, out, [&](const TextAnswer& text) {
    append_classified(form, text, served, out);
    out += '}';
  });
  out += fmt::format(R"(,"device":{},"batch":{}}})", json_text(answer.device), answer.batch);
  return {out};
}

std::string render_problem(Route route, const Problem& problem) {
  const Error& error = problem.error;
  switch (route) {
    case Route::predict:
      return fmt::format(R"({{"error":{},"error_type":"{}"}})", json_text(error.to_string()),
                         tei_type(problem.status));
    case Route::vllm:
      return fmt::format(R"({{"error":{{"message":{},"type":{},"param":null,"code":{}}}}})",
                         json_text(error.to_string()), json_text(error.code), problem.status);
    case Route::infer:
      return fmt::format(R"({{"error":{}}})", json_text(error.to_string()));
    default:
      return fmt::format(R"({{"error":{{"status":{},"code":{},"message":{},"hint":{}}}}})",
                         problem.status, json_text(error.code), json_text(error.message),
                         json_text(error.hint));
  }
}

std::string render_server() {
  return R"({"name":"breakeven","version":")" BREAKEVEN_VERSION
         R"(","extensions":["binary_tensor_data","classification"]})";
}

std::string render_model(const Served& served) {
  return fmt::format(
      R"({{"name":{},"versions":["1"],"platform":"breakeven","inputs":[{{"name":"text","datatype":"BYTES","shape":[-1]}}],)"
      R"("outputs":[{{"name":"label","datatype":"BYTES","shape":[-1]}},{{"name":"score","datatype":"FP32","shape":[-1]}},)"
      R"({{"name":"logits","datatype":"FP32","shape":[-1,{}]}}]}})",
      json_text(served.model), served.labels.size());
}

}  // namespace breakeven::serve
