#include "data/encoding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/utf8.h"

namespace breakeven::data {
namespace {

using std::string_view_literals::operator""sv;

struct Name {
  std::string_view name;
  Encoding encoding;
};
// The first of each is the one that messages say.
constexpr Name kNames[] = {
    {"utf-8", Encoding::utf8},        {"utf-16", Encoding::utf16},
    {"utf-16le", Encoding::utf16le},  {"utf-16be", Encoding::utf16be},
    {"utf-32", Encoding::utf32},      {"utf-32le", Encoding::utf32le},
    {"utf-32be", Encoding::utf32be},  {"latin-1", Encoding::latin1},
    {"cp1252", Encoding::cp1252},     {"utf8", Encoding::utf8},
    {"utf-8-sig", Encoding::utf8},    {"ascii", Encoding::utf8},
    {"us-ascii", Encoding::utf8},     {"utf16", Encoding::utf16},
    {"utf-16-le", Encoding::utf16le}, {"utf16le", Encoding::utf16le},
    {"utf-16-be", Encoding::utf16be}, {"utf16be", Encoding::utf16be},
    {"utf32", Encoding::utf32},       {"utf-32-le", Encoding::utf32le},
    {"utf32le", Encoding::utf32le},   {"utf-32-be", Encoding::utf32be},
    {"utf32be", Encoding::utf32be},   {"latin1", Encoding::latin1},
    {"iso-8859-1", Encoding::latin1}, {"iso8859-1", Encoding::latin1},
    {"l1", Encoding::latin1},         {"windows-1252", Encoding::cp1252},
    {"cp-1252", Encoding::cp1252},    {"1252", Encoding::cp1252},
};

// What 0x80 to 0x9F are in Windows-1252; 0 = nothing.
constexpr std::array<char16_t, 32> kWindows = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

constexpr bool is_surrogate(char32_t c) {
  return c >= 0xD800 && c <= 0xDFFF;
}

class DecodedBytes final : public ByteStream {
 public:
  DecodedBytes(Encoding encoding, std::unique_ptr<ByteStream> bytes)
      : encoding_(encoding), bytes_(std::move(bytes)) {}

  Result<std::size_t> read(char* out, std::size_t size) override {
    while (read_ == decoded_.size() && !at_end_) BREAKEVEN_TRY_VOID(decode_more());
    const std::size_t count = decoded_.copy(out, size, read_);
    read_ += count;
    return count;
  }
  const std::string& name() const override { return bytes_->name(); }
  std::string losses() const override {
    if (lost_ == 0) return {};
    return fmt::format(
        "{}: {} {} no {} and read as U+FFFD; if that is the wrong --encoding, name another", name(),
        lost_, lost_ == 1 ? "place is" : "places are", name_of(encoding_));
  }

 private:
  Result<void> decode_more() {
    constexpr std::size_t kBlock = std::size_t{1} << 16;
    const std::size_t kept = raw_.size();  // a part of a unit
    raw_.resize(kept + kBlock);
    const auto got = bytes_->read(raw_.data() + kept, kBlock);
    raw_.resize(kept + got.value_or(0));
    BREAKEVEN_TRY_VOID(got);
    at_end_ = *got == 0;
    decoded_.clear();
    read_ = 0;
    std::size_t used = 0;
    if (unit_bytes() == 1) {
      for (; used < raw_.size(); ++used) one_byte(static_cast<unsigned char>(raw_[used]));
    }
    for (; raw_.size() - used >= unit_bytes(); used += unit_bytes()) take_unit(unit_at(used));
    raw_.erase(0, used);
    if (at_end_ && (!raw_.empty() || high_ != 0)) lose();
    return {};
  }

  std::size_t unit_bytes() const {
    if (encoding_ == Encoding::latin1 || encoding_ == Encoding::cp1252) return 1;
    return encoding_ == Encoding::utf32le || encoding_ == Encoding::utf32be ? 4 : 2;
  }

  char32_t unit_at(std::size_t at) const {
    const bool big = encoding_ == Encoding::utf16be || encoding_ == Encoding::utf32be;
    const std::size_t count = unit_bytes();
    char32_t unit = 0;
    for (std::size_t i = 0; i < count; ++i) {
      unit = (unit << 8) | static_cast<unsigned char>(raw_[at + (big ? i : count - 1 - i)]);
    }
    return unit;
  }

  void one_byte(unsigned char byte) {
    const bool named = encoding_ == Encoding::cp1252 && byte >= 0x80 && byte < 0xA0;
    const char32_t c = named ? kWindows[byte - 0x80] : byte;
    if (named && c == 0) return lose();
    append_utf8(c, decoded_);
  }

  void take_unit(char32_t unit) {
    if (unit_bytes() == 4) {
      if (unit > kLastCodePoint || is_surrogate(unit)) return lose();
      return append_utf8(unit, decoded_);
    }
    const bool low = unit >= 0xDC00 && unit <= 0xDFFF;
    if (high_ != 0 && low) {
      append_utf8(0x10000 + ((high_ - 0xD800) << 10) + (unit - 0xDC00), decoded_);
      high_ = 0;
      return;
    }
    if (high_ != 0) lose();
    high_ = 0;
    if (low) return lose();
    if (is_surrogate(unit)) {
      high_ = unit;
    } else {
      append_utf8(unit, decoded_);
    }
  }

  void lose() {
    append_utf8(kReplacement, decoded_);
    ++lost_;
  }

  Encoding encoding_;
  std::unique_ptr<ByteStream> bytes_;
  std::string raw_;
  std::string decoded_;
  std::size_t read_ = 0;  // bytes of decoded_ that are read
  char32_t high_ = 0;     // a high surrogate that waits for its partner
  std::size_t lost_ = 0;
  bool at_end_ = false;
};

}  // namespace

std::string_view name_of(Encoding encoding) {
  for (const Name& name : kNames) {
    if (name.encoding == encoding) return name.name;
  }
  return "";
}

Result<Encoding> parse_encoding(std::string_view name) {
  std::string wanted = lower_ascii(name);
  std::replace(wanted.begin(), wanted.end(), '_', '-');
  for (const Name& known : kNames) {
    if (known.name == wanted) return known.encoding;
  }
  return fail(
      "data/encoding", fmt::format("--encoding '{}' is not known", name),
      "choose from utf-8, utf-16, utf-16le, utf-16be, utf-32, utf-32le, utf-32be, latin-1 and "
      "cp1252, or convert the file first: iconv -f NAME -t UTF-8 FILE > texts.txt");
}

std::optional<Encoding> marked_encoding(std::string_view head) {
  if (head.starts_with("\xEF\xBB\xBF"sv)) return Encoding::utf8;
  if (head.starts_with("\xFF\xFE\0\0"sv)) return Encoding::utf32le;
  if (head.starts_with("\0\0\xFE\xFF"sv)) return Encoding::utf32be;
  if (head.starts_with("\xFF\xFE"sv)) return Encoding::utf16le;
  if (head.starts_with("\xFE\xFF"sv)) return Encoding::utf16be;
  return std::nullopt;
}

Result<Encoding> choose_encoding(const std::optional<Encoding>& given, std::string_view head,
                                 const std::string& name) {
  const std::optional<Encoding> marked = marked_encoding(head);
  if (!marked || !given) {
    const Encoding chosen = given.value_or(marked.value_or(Encoding::utf8));
    if (chosen == Encoding::utf16) return Encoding::utf16le;
    if (chosen == Encoding::utf32) return Encoding::utf32le;
    return chosen;
  }
  const bool agrees = name_of(*marked).starts_with(name_of(*given));
  if (agrees) return *marked;
  return fail("data/encoding",
              fmt::format("{} begins with the byte order mark of {}, and --encoding says {}", name,
                          name_of(*marked), name_of(*given)),
              "leave --encoding out");
}

std::unique_ptr<ByteStream> decode(Encoding encoding, std::unique_ptr<ByteStream> bytes) {
  if (encoding == Encoding::utf8) return bytes;
  return std::make_unique<DecodedBytes>(encoding, std::move(bytes));
}

}  // namespace breakeven::data
