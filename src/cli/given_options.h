// A command line read back from what CLI11 made of it.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own name
class App;
}

namespace breakeven::cli {

// The options that were given to `command`, as words that say the same again, in their
// order; those in `without`
// ("--journal") are left out.
std::vector<std::string> given_options(const CLI::App& command,
                                       std::initializer_list<std::string_view> without);

// A word as a shell takes it: quoted where it must be.
std::string quoted(const std::string& word);

}  // namespace breakeven::cli
