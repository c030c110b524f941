// What the server offers, as a document of OpenAPI 3.
#pragma once

#include <string_view>

namespace breakeven::serve {

std::string_view openapi_document();

}  // namespace breakeven::serve
