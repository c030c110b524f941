// Any bytes as an input, compressed or not, in any encoding: no crash, no line over the limit, and
// UTF-8 out of every other encoding. The first byte chooses the encoding.
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "data/bytes.h"
#include "data/input.h"

namespace {

using namespace breakeven;        // NOLINT
using namespace breakeven::data;  // NOLINT

constexpr std::size_t kMaxLine = 4096;
constexpr std::size_t kMostBytes = std::size_t{1} << 22;  // of what a few bytes may swell to

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::optional<Encoding> encoding;
  if (data[0] % 16 <= static_cast<int>(Encoding::cp1252)) {
    encoding = static_cast<Encoding>(data[0] % 16);
  }
  const std::string_view content(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto input = read_input(bytes_of(content, "fuzz"), "", encoding);
  if (!input || input->is_tar) return 0;
  LineReader lines(std::move(input->bytes), kMaxLine);
  for (std::size_t bytes = 0; bytes < kMostBytes;) {
    const auto line = lines.next();
    if (!line || !*line) break;
    bytes += (*line)->size();
    BREAKEVEN_CHECK(without_line_end(**line).size() <= kMaxLine);
    BREAKEVEN_CHECK(lines.valid() == is_valid_utf8(**line));
    if (encoding && *encoding != Encoding::utf8) BREAKEVEN_CHECK(lines.valid());
  }
  return 0;
}
