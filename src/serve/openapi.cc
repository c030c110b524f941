#include "serve/openapi.h"

namespace breakeven::serve {

std::string_view openapi_document() {
  return R"json({
"openapi": "3.0.3",
"info": {"title": "breakeven serve", "version": ")json" BREAKEVEN_VERSION R"json(",
  "description": "Labels texts. Every answer says in Server-Timing what took how long."},
"paths": {
  "/v1/classify": {"post": {"summary": "Label texts; as application/x-ndjson a line each, both ways",
    "parameters": [{"$ref": "#/components/parameters/deadline"}],
    "requestBody": {"required": true, "content": {
      "application/json": {"schema": {"$ref": "#/components/schemas/Ask"}},
      "application/x-ndjson": {"schema": {"type": "string"}}}},
    "responses": {"200": {"description": "Labels, in the order of the texts", "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Answer"}},
        "application/x-ndjson": {"schema": {"type": "string"}}}},
      "400": {"$ref": "#/components/responses/Problem"}, "401": {"$ref": "#/components/responses/Problem"},
      "413": {"$ref": "#/components/responses/Problem"}, "415": {"$ref": "#/components/responses/Problem"},
      "422": {"$ref": "#/components/responses/Problem"}, "429": {"$ref": "#/components/responses/Problem"},
      "500": {"$ref": "#/components/responses/Problem"}, "503": {"$ref": "#/components/responses/Problem"},
      "504": {"$ref": "#/components/responses/Problem"}}}},
  "/predict": {"post": {"summary": "As Text Embeddings Inference: a list of two texts is a pair",
    "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object",
      "required": ["inputs"], "additionalProperties": false,
      "properties": {"inputs": {}, "truncate": {"type": "boolean", "nullable": true},
        "raw_scores": {"type": "boolean"}, "truncation_direction": {"enum": ["Right", "right"]}}}}}},
    "responses": {"200": {"description": "Scores of all labels, the best first"}}}},
  "/classify": {"post": {"summary": "As vLLM",
    "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object",
      "required": ["input"], "additionalProperties": false,
      "properties": {"input": {}, "model": {"type": "string"}, "use_activation": {"type": "boolean"},
        "activation": {"type": "boolean"}, "user": {}, "truncate_prompt_tokens": {"type": "integer"}}}}}},
    "responses": {"200": {"description": "Scores by index of the label"}}}},
  "/v2": {"get": {"summary": "Open Inference Protocol: the server", "responses": {"200": {"description": "Its name"}}}},
  "/v2/health/live": {"get": {"summary": "As /livez", "responses": {"200": {"description": "It lives"}}}},
  "/v2/health/ready": {"get": {"summary": "As /readyz", "responses": {"200": {"description": "It answers"}, "503": {"description": "It does not"}}}},
  "/v2/models/{model}": {"get": {"summary": "Names and shapes of inputs and outputs",
    "parameters": [{"$ref": "#/components/parameters/model"}], "responses": {"200": {"description": "Them"}}}},
  "/v2/models/{model}/ready": {"get": {"summary": "As /readyz",
    "parameters": [{"$ref": "#/components/parameters/model"}],
    "responses": {"200": {"description": "It answers"}, "503": {"description": "It does not"}}}},
  "/v2/models/{model}/infer": {"post": {"summary": "Open Inference Protocol: BYTES text [B], for pairs BYTES pair [B]; binary tensors behind the JSON where Inference-Header-Content-Length says where it ends",
    "parameters": [{"$ref": "#/components/parameters/model"}],
    "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object"}},
      "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    "responses": {"200": {"description": "BYTES label, FP32 score, FP32 logits"}}}},
  "/null": {"post": {"summary": "Reads a body and computes nothing: what a load test takes off", "responses": {"200": {"description": "{}"}}}},
  "/v1/breakeven": {"get": {"summary": "What came of late, what each device alone would make of it, and from which load the GPU is cheaper",
    "parameters": [{"name": "cpu_price", "in": "query", "schema": {"type": "number"}, "description": "Of the CPU machine, an hour"},
      {"name": "gpu_price", "in": "query", "schema": {"type": "number"}, "description": "Of the GPU machine, an hour"}],
    "responses": {"200": {"description": "Load, use, modelled p99 and cost"}, "400": {"$ref": "#/components/responses/Problem"}}}},
  "/": {"get": {"summary": "A page for people", "responses": {"200": {"description": "HTML"}}}},
  "/livez": {"get": {"summary": "The program runs", "responses": {"200": {"description": "It does"}}}},
  "/readyz": {"get": {"summary": "A batch gave what it must in the last 30 s", "responses": {"200": {"description": "It did"}, "503": {"description": "It did not, or the server is about to end"}}}},
  "/metrics": {"get": {"summary": "Prometheus' text format", "responses": {"200": {"description": "All series"}}}},
  "/info": {"get": {"summary": "Model, limits, and what batches take", "responses": {"200": {"description": "Them"}}}},
  "/openapi.json": {"get": {"summary": "This", "responses": {"200": {"description": "This"}}}}},
"components": {
  "parameters": {
    "deadline": {"name": "x-deadline-ms", "in": "header", "schema": {"type": "number", "exclusiveMinimum": true, "minimum": 0, "maximum": 3600000},
      "description": "Milliseconds from the request's last byte in which the answer is wanted"},
    "model": {"name": "model", "in": "path", "required": true, "schema": {"type": "string"}}},
  "responses": {"Problem": {"description": "What failed, on which value, what to try",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
  "schemas": {
    "Ask": {"type": "object", "required": ["input"], "additionalProperties": false, "properties": {
      "input": {"description": "A text, or a list of texts and of pairs [first, second]"},
      "pair": {"type": "string", "nullable": true, "description": "The second text of input"},
      "top_k": {"description": "So many labels with their scores, or \"all\""},
      "raw": {"type": "boolean", "description": "Logits instead of scores"},
      "truncate": {"type": "boolean", "description": "false: a text over the model's length is refused"}}},
    "Answer": {"type": "object", "required": ["model", "results", "device", "batch"], "properties": {
      "model": {"type": "string"}, "device": {"type": "string"}, "batch": {"type": "integer"},
      "results": {"type": "array", "items": {"type": "object",
        "required": ["label", "score", "tokens", "truncated_tokens"], "properties": {
          "label": {"type": "string"}, "score": {"type": "number"},
          "tokens": {"type": "integer"}, "truncated_tokens": {"type": "integer"},
          "scores": {"type": "array", "items": {"type": "object"}}}}}}},
    "Problem": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object",
      "required": ["status", "code", "message", "hint"], "properties": {"status": {"type": "integer"},
        "code": {"type": "string"}, "message": {"type": "string"}, "hint": {"type": "string"}}}}}}}
}
)json";
}

std::string_view page() {
  return
#include "serve_page.inc"
      ;
}

}  // namespace breakeven::serve
