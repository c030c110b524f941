// Whatever a client sends, and however it is cut: replies, the same ones, and nothing is left over.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "serve/connection.h"
#include "serve/fake_service.h"

namespace {

using namespace breakeven;

// Nobody is late where no time passes.
class NoTime final : public Clock {
 public:
  double now_s() const override { return 1; }
  void sleep_until(double) const override {}
};

serve::ServiceOptions without_time() {
  static const NoTime clock;
  serve::ServiceOptions options;
  options.clock = &clock;
  return options;
}

// The codes of the replies to `bytes`, sent in pieces of `piece` and twice that, and whether the
// connection ended.
std::string replies(testing::FakeService& fake, std::string_view bytes, std::size_t piece) {
  serve::ConnectionOptions options;
  options.body_bytes = 2048;
  options.http.header_bytes = 1024;
  options.window = 4;
  serve::Connection connection(fake.service(), options, [] {});
  std::string all;
  const auto take = [&] {
    const std::string output = connection.take_output();
    connection.written(output.size());
    all += output;
  };
  for (bool twice = false; !bytes.empty() && !connection.finished(); twice = !twice) {
    const std::size_t size = std::min(bytes.size(), twice ? 2 * piece : piece);
    connection.received(bytes.substr(0, size));
    bytes.remove_prefix(size);
    take();
  }
  while (fake.service().core().busy() || fake.service().makes_live()) {
    fake.settle();
    fake.poll();
    take();
  }
  std::string codes;
  constexpr std::string_view kStart = "HTTP/1.1 ";
  BREAKEVEN_CHECK(all.empty() || all.starts_with(kStart));
  for (std::size_t at = all.find(kStart); at != std::string::npos; at = all.find(kStart, at + 1)) {
    codes += all.substr(at + kStart.size(), 3) + " ";
  }
  return codes + (connection.finished() ? "closed" : "open");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static testing::FakeService fake(without_time());
  if (size < 1) return 0;
  // With an end: Beast sees at once what is wrong in a header that comes in one piece, and at its
  // end what is wrong in one that comes in several.
  const std::string bytes =
      std::string(reinterpret_cast<const char*>(data) + 1, size - 1) + "\r\n\r\n";
  const std::string whole = replies(fake, bytes, bytes.size());
  const std::string cut = replies(fake, bytes, 1 + data[0] % 64U);
  BREAKEVEN_CHECK(whole == cut, "whole: {}; cut: {}", whole, cut);
  BREAKEVEN_CHECK(fake.service().core().requests() == 0);
  return 0;
}
