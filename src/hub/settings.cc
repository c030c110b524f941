#include "hub/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "base/files.h"

namespace breakeven::hub {
namespace {

namespace fs = std::filesystem;

std::string text_of(const Lookup& lookup, const char* name) {
  const char* value = lookup(name);
  return value == nullptr ? "" : value;
}

bool is_true(const Lookup& lookup, const char* name) {
  std::string text = text_of(lookup, name);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// $NAME and ${NAME}; a variable that is not set stays as it is written, as Python does it.
std::string expand_variables(std::string_view text, const Lookup& lookup) {
  std::string expanded;
  while (!text.empty()) {
    const std::size_t dollar = text.find('$');
    expanded += text.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar);
    const bool braces = text.size() > 1 && text[1] == '{';
    const std::size_t name_begin = braces ? 2 : 1;
    std::size_t end = name_begin;
    if (braces) {
      end = std::min(text.find('}'), text.size());
    } else {
      while (end < text.size() && is_name_character(text[end])) ++end;
    }
    const std::string name(text.substr(name_begin, end - name_begin));
    const std::size_t used = braces ? std::min(end + 1, text.size()) : end;
    const char* value = name.empty() ? nullptr : lookup(name.c_str());
    expanded += value != nullptr ? std::string_view(value) : text.substr(0, used);
    text.remove_prefix(used);
  }
  return expanded;
}

fs::path expand(const std::string& text, const std::string& home, const Lookup& lookup) {
  std::string path = text;
  if (path == "~" || path.starts_with("~/")) path.replace(0, 1, home);
  return expand_variables(path, lookup);
}

// The token without the space around it that files and shells leave. `where` names its source.
Result<std::string> clean_token(std::string text, const std::string& where) {
  const auto is_space = [](unsigned char c) { return std::isspace(c) != 0; };
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  text.erase(std::find_if_not(text.rbegin(), text.rend(), is_space).base(), text.end());
  const bool clean =
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!clean) {
    return fail("hub/token", fmt::format("{} holds characters that no token has", where),
                "copy the token again: it is one line of letters and digits");
  }
  return text;
}

Result<std::string> read_token(const Lookup& lookup, const fs::path& home_folder,
                               const std::string& home) {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    BREAKEVEN_TRY(std::string token, clean_token(text_of(lookup, name), name));
    if (!token.empty()) return token;
  }
  if (is_true(lookup, "HF_HUB_DISABLE_IMPLICIT_TOKEN")) return std::string();
  const std::string named = text_of(lookup, "HF_TOKEN_PATH");
  const fs::path path = named.empty() ? home_folder / "token" : expand(named, home, lookup);
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return std::string();
  // A token that may not be read is the same as none: most models need none.
  auto text = read_file(path);
  if (!text) return std::string();
  return clean_token(*std::move(text), path);
}

}  // namespace

Result<Settings> settings_from_environment(const Lookup& lookup) {
  Settings settings;
  const std::string home = text_of(lookup, "HOME");
  std::string hf_home = text_of(lookup, "HF_HOME");
  if (hf_home.empty()) {
    std::string base = text_of(lookup, "XDG_CACHE_HOME");
    if (base.empty() && !home.empty()) base = home + "/.cache";
    if (base.empty()) {
      return fail("hub/no-home", "there is no Hugging Face cache: HOME is not set",
                  "set HF_HOME to a folder that you may write to");
    }
    hf_home = base + "/huggingface";
  }
  const fs::path home_folder = expand(hf_home, home, lookup);
  std::string cache = text_of(lookup, "HF_HUB_CACHE");
  if (cache.empty()) cache = text_of(lookup, "HUGGINGFACE_HUB_CACHE");
  settings.cache = cache.empty() ? home_folder / "hub" : expand(cache, home, lookup);
  settings.old_cache = text_of(lookup, "TRANSFORMERS_CACHE");

  if (std::string endpoint = text_of(lookup, "HF_ENDPOINT"); !endpoint.empty()) {
    endpoint.erase(endpoint.find_last_not_of('/') + 1);
    if (!endpoint.starts_with("http://") && !endpoint.starts_with("https://")) {
      return fail("hub/endpoint", fmt::format("HF_ENDPOINT is {}", endpoint),
                  "it has to start with https:// or http://");
    }
    settings.endpoint = endpoint;
  }
  settings.offline = is_true(lookup, "HF_HUB_OFFLINE") || is_true(lookup, "TRANSFORMERS_OFFLINE");
  const std::string timeout = text_of(lookup, "HF_HUB_DOWNLOAD_TIMEOUT");
  int seconds = 0;
  std::from_chars(timeout.data(), timeout.data() + timeout.size(), seconds);
  if (seconds > 0) settings.stall_s = seconds;
  BREAKEVEN_TRY(settings.token, read_token(lookup, home_folder, home));
  return settings;
}

Result<Settings> settings_from_environment() {
  return settings_from_environment([](const char* name) { return std::getenv(name); });
}

}  // namespace breakeven::hub
