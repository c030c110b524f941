// What the server offers, as a document of OpenAPI 3.
#pragma once

#include <string_view>

namespace breakeven::serve {

std::string_view openapi_document();
// Of a person: text in, label, scores, times and the live break-even out; loads nothing else.
std::string_view page();

}  // namespace breakeven::serve
