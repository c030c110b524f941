// Bodies of the four interfaces: what they mean, what is refused, how answers look.
#include "serve/api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "serve/fake_service.h"
#include "serve/openapi.h"

namespace breakeven::serve {
namespace {

using testing::fake_served;
using Json = nlohmann::json;

// "a|b+c one": texts, pairs with +, and whether one was asked for; or "!422 code".
std::string parse(Route route, const std::string& body, BodyLimits limits = {}) {
  const auto ask = parse_ask(route, body, fake_served(), limits);
  if (!ask) return "!" + std::to_string(ask.error().status) + " " + ask.error().error.code;
  std::string all;
  for (const OwnedText& text : ask->texts) {
    all += (all.empty() ? "" : "|") + text.first + (text.second ? "+" + *text.second : "");
  }
  return all + (ask->form.one ? " one" : "");
}

TEST(Api, OurOwn) {
  EXPECT_EQ(parse(Route::classify, R"({"input":"a"})"), "a one");
  EXPECT_EQ(parse(Route::classify, R"({"input":["a","b"]})"), "a|b");
  EXPECT_EQ(parse(Route::classify, R"({"input":[["a","b"],"c"]})"), "a+b|c");
  EXPECT_EQ(parse(Route::classify, R"({"input":"a","pair":"b"})"), "a+b one");
  EXPECT_EQ(parse(Route::classify, R"({"input":"a","pair":null})"), "a one");
  EXPECT_EQ(parse(Route::classify_lines, R"("a")"), "a one");
  EXPECT_EQ(parse(Route::classify_lines, R"({"input":"a","top_k":2})"), "a one");
  EXPECT_EQ(parse(Route::classify_lines, R"({"input":["a"]})"), "!422 json/field");
}

TEST(Api, RefusesByName) {
  const auto classify = [](const std::string& body) { return parse(Route::classify, body); };
  EXPECT_EQ(classify("{"), "!400 json/malformed");
  EXPECT_EQ(classify(""), "!400 json/malformed");
  EXPECT_EQ(classify(std::string(2000, '[')), "!400 json/malformed");
  EXPECT_EQ(classify("[]"), "!422 json/field");
  EXPECT_EQ(classify("{}"), "!422 json/field");
  EXPECT_EQ(classify(R"({"input":[]})"), "!400 texts/none");
  EXPECT_EQ(classify(R"({"input":7})"), "!422 json/field");
  EXPECT_EQ(classify(R"({"input":["a",7]})"), "!422 json/field");
  EXPECT_EQ(classify(R"({"input":[["a","b","c"]]})"), "!422 json/field");
  EXPECT_EQ(classify(R"({"input":"a","inputs":"b"})"), "!422 json/unknown");
  EXPECT_EQ(classify(R"({"input":"a","top_k":0})"), "!422 json/field");
  EXPECT_EQ(classify(R"({"input":"a","top_k":-1})"), "!422 json/field");
  EXPECT_EQ(classify(R"({"input":"a","truncate":"no"})"), "!422 json/field");
  EXPECT_EQ(classify("{\"input\":\"\xff\"}"), "!422 text/utf-8");
  const std::string long_text(99, 'x');
  EXPECT_EQ(classify(R"({"input":")" + long_text + R"("})"), long_text + " one");
  EXPECT_EQ(classify(R"({"truncate":false,"input":")" + long_text + R"("})"), "!422 text/tokens");
  EXPECT_EQ(classify(R"({"truncate":false,"input":")" + long_text.substr(1) + R"("})"),
            long_text.substr(1) + " one");
}

TEST(Api, LimitsToTheByte) {
  BodyLimits limits;
  limits.texts = 2;
  limits.text_bytes = 3;
  EXPECT_EQ(parse(Route::classify, R"({"input":["abc","d"]})", limits), "abc|d");
  EXPECT_EQ(parse(Route::classify, R"({"input":["a","b","c"]})", limits), "!413 texts/too-many");
  EXPECT_EQ(parse(Route::classify, R"({"input":"abcd"})", limits), "!413 text/too-long");
  EXPECT_EQ(parse(Route::classify, R"({"input":"ab","pair":"cd"})", limits), "!413 text/too-long");
  Served served = fake_served();
  served.takes_pairs = false;
  EXPECT_EQ(
      parse_ask(Route::classify, R"({"input":"a","pair":"b"})", served, {}).error().error.code,
      "text/pair");
}

TEST(Api, TextEmbeddingsInference) {
  EXPECT_EQ(parse(Route::predict, R"({"inputs":"a"})"), "a one");
  EXPECT_EQ(parse(Route::predict, R"({"inputs":["a","b"]})"), "a+b one");  // theirs: a pair
  EXPECT_EQ(parse(Route::predict, R"({"inputs":[["a"],["b","c"]]})"), "a|b+c");
  EXPECT_EQ(
      parse(Route::predict,
            R"({"inputs":"a","truncate":null,"truncation_direction":"Right","raw_scores":false})"),
      "a one");
  EXPECT_EQ(parse(Route::predict, R"({"inputs":"a","truncation_direction":"Left"})"),
            "!422 json/field");
}

TEST(Api, Vllm) {
  EXPECT_EQ(parse(Route::vllm, R"({"model":"fake","input":["a","b"],"use_activation":true})"),
            "a|b");
  EXPECT_EQ(parse(Route::vllm, R"({"model":"gpt","input":"a"})"), "!404 model/unknown");
  EXPECT_EQ(parse(Route::vllm, R"({"input":[1,2]})"), "!422 json/field");
}

TEST(Api, OpenInferenceProtocol) {
  EXPECT_EQ(
      parse(
          Route::infer,
          R"({"id":"42","parameters":{},"inputs":[{"name":"text","shape":[2],"datatype":"BYTES","data":["a","b"]}]})"),
      "a|b");
  EXPECT_EQ(
      parse(
          Route::infer,
          R"({"inputs":[{"name":"text","shape":[1,1],"datatype":"BYTES","data":[["a"]]},{"name":"pair","shape":[1],"datatype":"BYTES","data":["b"]}]})"),
      "a+b");
  EXPECT_EQ(parse(Route::infer,
                  R"({"inputs":[{"name":"text","shape":[3],"datatype":"BYTES","data":["a"]}]})"),
            "!422 json/field");
  EXPECT_EQ(parse(Route::infer,
                  R"({"inputs":[{"name":"text","shape":[1],"datatype":"INT8","data":[1]}]})"),
            "!422 json/field");
  EXPECT_EQ(parse(Route::infer,
                  R"({"inputs":[{"name":"ids","shape":[1],"datatype":"BYTES","data":["a"]}]})"),
            "!422 infer/input");
  EXPECT_EQ(parse(Route::infer, R"({"inputs":[]})"), "!400 texts/none");
}

// Texts as BYTES tensors behind the JSON: four bytes of length before each.
std::string tensor_of(const std::vector<std::string>& texts) {
  std::string bytes;
  for (const std::string& text : texts) {
    const auto size = static_cast<std::uint32_t>(text.size());
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(size >> shift & 0xFFU);
    bytes += text;
  }
  return bytes;
}

TEST(Api, BinaryTensors) {
  const auto parse_binary = [](const std::string& inputs, const std::string& behind,
                               std::size_t less = 0) {
    const std::string json = R"({"inputs":[)" + inputs + "]}";
    const auto ask = parse_ask(Route::infer, json + behind, fake_served(), {}, json.size() - less);
    if (!ask) return "!" + std::to_string(ask.error().status) + " " + ask.error().error.code;
    std::string all;
    for (const OwnedText& text : ask->texts) all += "|" + text.first + text.second.value_or("");
    return all;
  };
  const auto input = [](const std::string& name, std::size_t texts, std::size_t bytes) {
    return R"({"name":")" + name + R"(","datatype":"BYTES","shape":[)" + std::to_string(texts) +
           R"(],"parameters":{"binary_data_size":)" + std::to_string(bytes) + "}}";
  };
  const std::string two = tensor_of({"one", ""}), pair = tensor_of({"A", "B"});
  EXPECT_EQ(parse_binary(input("text", 2, 11), two), "|one|");
  EXPECT_EQ(parse_binary(input("text", 2, 11) + "," + input("pair", 2, 10), two + pair), "|oneA|B");
  EXPECT_EQ(parse_binary(input("text", 3, 11), two), "!422 json/field");
  EXPECT_EQ(parse_binary(input("text", 2, 12), two), "!422 json/field");
  EXPECT_EQ(parse_binary(input("text", 2, 10), two), "!400 infer/binary");
  EXPECT_EQ(parse_binary(input("text", 2, 11), two + "x"), "!400 infer/binary");
  EXPECT_EQ(parse_binary(input("text", 1, 4), "\xff\xff\xff\xff"), "!400 infer/binary");
  EXPECT_EQ(parse_binary(input("text", 1, 5), tensor_of({"\xff"})), "!422 text/utf-8");
  EXPECT_EQ(parse_binary(input("text", 2, 11), two, 1), "!400 json/malformed");
  EXPECT_EQ(parse_ask(Route::infer, "{}", fake_served(), {}, 3).error().error.code, "infer/binary");
}

Answer two_answers() {
  Answer answer;
  answer.texts = {{{1, -1}, 5, 0}, {{-1, 1}, 100, 7}};
  answer.batch = 3;
  answer.device = "cpu";
  return answer;
}

Json rendered(Route route, const std::string& body) {
  auto ask = parse_ask(route, body, fake_served(), {});
  Answer answer = two_answers();
  answer.texts.resize(ask->texts.size());
  return Json::parse(render(ask->form, answer, fake_served()).body);
}

TEST(Api, AnswersInTheWayOfEach) {
  const double best = 1 / (1 + std::exp(-2.0));
  Json ours = rendered(Route::classify, R"({"input":["a","b"],"top_k":"all"})");
  EXPECT_EQ(ours["results"][0]["label"], "even");
  EXPECT_NEAR(ours["results"][0]["score"], best, 1e-6);
  EXPECT_EQ(ours["results"][1]["label"], "odd");
  EXPECT_EQ(ours["results"][1]["tokens"], 100);
  EXPECT_EQ(ours["results"][1]["truncated_tokens"], 7);
  EXPECT_EQ(ours["results"][1]["scores"][1]["label"], "even");
  EXPECT_EQ(ours["batch"], 3);
  EXPECT_EQ(ours["device"], "cpu");
  EXPECT_EQ(rendered(Route::classify, R"({"input":"a","raw":true})")["results"][0]["score"], 1.0);

  const Json one = rendered(Route::predict, R"({"inputs":"a"})");
  EXPECT_EQ(one[0]["label"], "even");
  EXPECT_EQ(one[1]["label"], "odd");
  EXPECT_NEAR(one[1]["score"], 1 - best, 1e-6);
  EXPECT_EQ(rendered(Route::predict, R"({"inputs":[["a"],["b"]]})")[1][0]["label"], "odd");

  const Json vllm = rendered(Route::vllm, R"({"input":["a","b"]})");
  EXPECT_EQ(vllm["object"], "list");
  EXPECT_EQ(vllm["data"][1]["index"], 1);
  EXPECT_EQ(vllm["data"][1]["label"], "odd");
  EXPECT_NEAR(vllm["data"][1]["probs"][1], best, 1e-6);
  EXPECT_EQ(vllm["data"][1]["num_classes"], 2);
  EXPECT_EQ(vllm["usage"]["total_tokens"], 105);

  const Json infer = rendered(
      Route::infer,
      R"({"id":"42","inputs":[{"name":"text","shape":[2],"datatype":"BYTES","data":["a","b"]}],)"
      R"("outputs":[{"name":"label","parameters":{"classification":2}},{"name":"logits"}]})");
  EXPECT_EQ(infer["id"], "42");
  EXPECT_EQ(infer["model_name"], "fake");
  EXPECT_EQ(infer["outputs"][0]["shape"], (Json{2, 2}));
  const std::string first = infer["outputs"][0]["data"][0];
  EXPECT_TRUE(first.starts_with("0.88") && first.ends_with(":0:even")) << first;
  EXPECT_EQ(infer["outputs"][1]["data"], (Json{1.0, -1.0, -1.0, 1.0}));

  const auto asked = parse_ask(
      Route::infer,
      R"({"parameters":{"binary_data_output":true,"timeout":2000},)"
      R"("inputs":[{"name":"text","shape":[2],"datatype":"BYTES","data":["a","b"]}],)"
      R"("outputs":[{"name":"label"},{"name":"score","parameters":{"binary_data":false}}]})",
      fake_served(), {});
  EXPECT_EQ(asked->form.limit_s, 2e-3);
  const Rendered binary = render(asked->form, two_answers(), fake_served());
  const Json head = Json::parse(binary.body.substr(0, *binary.json_bytes));
  EXPECT_EQ(head["outputs"][0]["parameters"]["binary_data_size"], 15);
  EXPECT_EQ(binary.body.substr(*binary.json_bytes), tensor_of({"even", "odd"}));
  EXPECT_EQ(head["outputs"][1]["data"].size(), 2U);
}

TEST(Api, ProblemsInTheWayOfEach) {
  const Problem problem{429, {"serve/late", "late \"x\"", "wait"}, 1};
  EXPECT_EQ(Json::parse(render_problem(Route::classify, problem))["error"]["code"], "serve/late");
  EXPECT_EQ(Json::parse(render_problem(Route::predict, problem))["error_type"], "Overloaded");
  EXPECT_EQ(Json::parse(render_problem(Route::vllm, problem))["error"]["code"], 429);
  EXPECT_TRUE(Json::parse(render_problem(Route::infer, problem))["error"].is_string());
}

TEST(Api, FindsRoutesAndSaysWhatElseThereIs) {
  EXPECT_EQ(find_route("POST", "/v2/models/fake/infer", "fake"), Route::infer);
  EXPECT_EQ(find_route("POST", "/v2/models/fake/versions/1/infer", "fake"), Route::infer);
  EXPECT_EQ(find_route("GET", "/v2/models/fake/", "fake"), Route::model);
  EXPECT_EQ(find_route("HEAD", "/livez", "fake"), Route::livez);
  EXPECT_EQ(find_route("HEAD", "/v1/classify", "fake").error().status, 405);
  EXPECT_EQ(find_route("GET", "/v2/models/fakes", "fake").error().status, 404);
  EXPECT_EQ(find_route("GET", "/v1/classify", "fake").error().status, 405);
  EXPECT_EQ(find_route("GET", "/nothing", "fake").error().status, 404);
}

// Every path of the document is a route, and every route stands in it.
TEST(Api, OpenApiSaysWhatThereIs) {
  const Json document = Json::parse(openapi_document());
  std::size_t count = 0;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, what] : methods.items()) {
      std::string real = path;
      if (const auto at = real.find("{model}"); at != std::string::npos)
        real.replace(at, 7, "fake");
      EXPECT_TRUE(find_route(method == "post" ? "POST" : "GET", real, "fake")) << path;
      ++count;
    }
  }
  EXPECT_EQ(count, 17U);  // Route's values, less classify_lines
}

}  // namespace
}  // namespace breakeven::serve
