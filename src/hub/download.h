// One file from a URL to a place on disk: resumed where it broke off, checked, and put there by a
// rename, so that what stands under its name is whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "hub/digest.h"
#include "hub/http.h"
#include "hub/settings.h"

namespace breakeven::hub {

// What happens, told to the caller.
struct Event {
  enum class Kind : std::uint8_t {
    present,   // it was there already, and is right
    waiting,   // another process downloads it
    progress,  // done_bytes of total_bytes have come
    retrying,  // note: why
    checking,  // its digest is computed
    done,
  };
  Kind kind = Kind::progress;
  std::string file;
  std::uint64_t done_bytes = 0;
  std::optional<std::uint64_t> total_bytes;
  std::string note;
};
using Listener = std::function<void(const Event& event)>;

struct Wanted {
  std::string name;  // for messages
  std::string url;
  std::string token;                  // for the host of `url`; empty: none
  std::optional<std::uint64_t> size;  // bytes
  Digest digest;
  std::filesystem::path destination;  // the part that has come is beside it: <name>.incomplete
  std::filesystem::path lock;
};

// What a status other than 2xx means: hub/not-found, hub/no-revision, hub/no-file,
// hub/unauthorized, hub/gated, hub/server (5xx and 429), hub/status.
Error status_error(const Response& response, const std::string& name, const std::string& url);

// Errors: those of Http::perform, FileLock::take and status_error; hub/size (the server announces
// or sends another number of bytes), hub/digest (the bytes are others), hub/disk (full or not to be
// written). What has come stays on disk and is continued by the next call, but after hub/digest.
Result<void> download(Http& http, const Settings& settings, const Wanted& wanted,
                      const Listener& listener);

}  // namespace breakeven::hub
