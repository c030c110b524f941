// In place of http.cc in a build without downloads (BREAKEVEN_DOWNLOADS=OFF), which needs no
// libcurl: for machines without a network. Models then come from folders and from what is in the
// cache already.
#include "hub/http.h"

namespace breakeven::hub {

struct Http::Handle {};

std::string printable_url(const std::string& url) {
  return url.substr(0, url.find_first_of("?#@"));
}

bool is_transient(const Error& /*error*/) {
  return false;
}

Http::Http(double stall_s) : stall_s_(stall_s) {}
Http::~Http() = default;

Result<Response> Http::perform(const Request& request) {
  return fail(
      "hub/no-downloads",
      "this build cannot download " + printable_url(request.url) + ": it was made without libcurl",
      "bring the model as a folder, or use a build with BREAKEVEN_DOWNLOADS=ON");
}

}  // namespace breakeven::hub
