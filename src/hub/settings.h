// What the environment says about the Hugging Face hub: the variables of huggingface_hub, with its
// defaults, so that both programs find the same files.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"

namespace breakeven::hub {

// Looks up an environment variable; nullptr when it is not set. Tests bring their own.
using Lookup = std::function<const char*(const char* name)>;

struct Settings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT
  std::filesystem::path cache;  // HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, $HF_HOME/hub,
                                // $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub
  std::string old_cache;        // TRANSFORMERS_CACHE, at which nobody looks any more
  std::string token;            // HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH or
                                // $HF_HOME/token; empty: none. Goes into no message.
  bool offline = false;         // HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE
  double stall_s = 30;          // HF_HUB_DOWNLOAD_TIMEOUT: give up a connection that says nothing
  double retry_wait_s = 1;      // before the first new attempt; doubles with each
  int attempts = 5;             // in a row without a megabyte of progress
};

// A variable that is set but empty counts as not set. Errors: hub/token (characters that no token
// has: the header would break), hub/endpoint (neither http:// nor https://), hub/no-home.
Result<Settings> settings_from_environment(const Lookup& lookup);
Result<Settings> settings_from_environment();

}  // namespace breakeven::hub
