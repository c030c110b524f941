// The cache on disk is shared with Python's huggingface_hub: each finds what the other fetched.
// Needs that package; skips without it.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "base/files.h"
#include "hub/cache.h"
#include "hub/fake_hub.h"
#include "hub/fetch.h"
#include "testing/paths.h"

namespace breakeven::hub {
namespace {

namespace fs = std::filesystem;

// $BREAKEVEN_ORACLE_PYTHON, or the virtual environment in the cache folder.
std::optional<std::string> oracle_python() {
  if (const char* named = std::getenv("BREAKEVEN_ORACLE_PYTHON")) return named;
  const auto cache = cache_folder();
  if (!cache) return std::nullopt;
  const fs::path python = fs::path(*cache) / "oracle-venv/bin/python";
  if (!fs::exists(python)) return std::nullopt;
  return python.string();
}

// What the script prints, without the last line's end.
std::string run_python(const std::string& python, const std::string& variables,
                       const fs::path& script) {
  const std::string command =
      "env -u HF_TOKEN -u HF_HOME HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_PROGRESS_BARS=1 " +
      variables + " '" + python + "' '" + script.string() + "'";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string output;
  char piece[4096];
  while (const std::size_t got = std::fread(piece, 1, sizeof(piece), pipe)) {
    output.append(piece, got);
  }
  ::pclose(pipe);
  output.erase(output.find_last_not_of('\n') + 1);
  return output;
}

class HuggingfaceHub : public ::testing::Test {
 protected:
  HuggingfaceHub() : hub_("org/tiny") {
    hub_.files = {{"config.json", "{}"}, {"vocab.txt", "a\n"}};
    hub_.large = {{"model.safetensors", testing::noise(100'000, 1)}};
    settings_.endpoint = hub_.url();
    settings_.cache = folder_ / "cache";
    settings_.retry_wait_s = 0.01;
  }
  void SetUp() override {
    python_ = oracle_python();
    if (!python_) {
      GTEST_SKIP() << "SKIPPED: no Python with huggingface_hub: set BREAKEVEN_ORACLE_PYTHON, or "
                      "make ~/.cache/breakeven/oracle-venv";
    }
  }
  std::string python(const std::string& variables, const std::string& code) {
    const fs::path script = folder_ / "script.py";
    EXPECT_TRUE(write_file_atomic(script.string(), code));
    return run_python(*python_, "HF_HUB_CACHE='" + settings_.cache.string() + "' " + variables,
                      script);
  }

  std::optional<std::string> python_;
  breakeven::testing::TempDir folder_;
  testing::FakeHub hub_;
  Settings settings_;
};

TEST_F(HuggingfaceHub, FindsWhatWasFetchedHere) {
  const auto fetched = fetch_model("org/tiny", "main", settings_, {});
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  for (const char* file : {"config.json", "vocab.txt", "model.safetensors"}) {
    EXPECT_EQ(python("HF_HUB_OFFLINE=1", std::string("from huggingface_hub import hf_hub_download\n"
                                                     "print(hf_hub_download('org/tiny', '") +
                                             file + "'))\n"),
              fetched->folder + "/" + file);
  }
}

TEST_F(HuggingfaceHub, FetchedModelsAreFoundHereAndNotFetchedAgain) {
  const std::string snapshot =
      python("HF_ENDPOINT=" + hub_.url(),
             "from huggingface_hub import hf_hub_download\n"
             "import os\n"
             "for file in 'config.json', 'vocab.txt', 'model.safetensors':\n"
             "    path = hf_hub_download('org/tiny', file)\n"
             "print(os.path.dirname(path))\n");
  EXPECT_EQ(*find_cached("org/tiny", "main", settings_.cache), snapshot);
  const int before = hub_.downloads();
  EXPECT_EQ(before, 1);
  const auto fetched = fetch_model("org/tiny", "main", settings_, {});
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  EXPECT_EQ(fetched->folder, snapshot);
  EXPECT_EQ(hub_.downloads(), before);
}

}  // namespace
}  // namespace breakeven::hub
