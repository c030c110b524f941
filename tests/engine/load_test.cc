// What --model may be, and what is said when it is something else.
#include "engine/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "testing/nobody.h"
#include "testing/paths.h"

namespace breakeven::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// What all three ways to a model say of `model`: they must agree.
Error refused(const std::string& model) {
  const auto loaded = load_model({.model = model});
  const auto tokenizer = load_tokenizer({.model = model});
  const auto folder = find_folder(model);
  EXPECT_FALSE(loaded) << model;
  EXPECT_FALSE(tokenizer) << model;
  EXPECT_FALSE(folder) << model;
  if (loaded || tokenizer || folder) return {};
  EXPECT_EQ(loaded.error().to_string(), tokenizer.error().to_string());
  EXPECT_EQ(loaded.error().to_string(), folder.error().to_string());
  return loaded.error();
}

class LoadByName : public ::testing::Test {
 protected:
  void SetUp() override { ::setenv("HF_HUB_CACHE", (folder_ / "cache").c_str(), 1); }
  void TearDown() override { ::unsetenv("HF_HUB_CACHE"); }

  // A copy of the narrow built-in model.
  fs::path make_model(const std::string& name) const {
    const fs::path to = folder_ / name;
    fs::create_directories(to.parent_path());
    fs::copy(testing::source_dir() / "models" / "builtin", to, fs::copy_options::recursive);
    return to;
  }

  testing::TempDir folder_;
};

TEST_F(LoadByName, AFileOfAModelIsToldItsFolder) {
  const fs::path model = make_model("m");
  const Error error = refused((model / "model.safetensors").string());
  EXPECT_EQ(error.code, "model/not-a-folder");
  EXPECT_THAT(error.message, HasSubstr("is a file"));
  EXPECT_THAT(error.hint, HasSubstr("--model " + model.string()));
  EXPECT_TRUE(load_model({.model = model.string()}));
}

TEST_F(LoadByName, AFolderOfTheCacheIsToldTheName) {
  const std::string commit(40, 'a');
  const fs::path snapshot = make_model("cache/models--acme--tiny/snapshots/" + commit);
  const fs::path whole = folder_ / "cache/models--acme--tiny";
  fs::create_directories(whole / "refs");
  std::ofstream(whole / "refs/main") << commit;
  for (const fs::path& wrong : {whole, whole / "", whole / "snapshots"}) {
    const Error error = refused(wrong.string());
    EXPECT_EQ(error.code, "model/cache-folder");
    EXPECT_THAT(error.hint, HasSubstr("--model acme/tiny,"));
  }
  EXPECT_TRUE(load_model({.model = snapshot.string()}));
  EXPECT_TRUE(load_model({.model = "acme/tiny"}));
  // A file that happens to be called like a model does not hide it.
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  fs::create_directory("acme");
  std::ofstream("acme/tiny") << "notes";
  EXPECT_TRUE(load_model({.model = "acme/tiny"}));
  fs::current_path(before);
}

TEST_F(LoadByName, ALinkIsToldTheNameInIt) {
  for (const char* link :
       {"https://huggingface.co/acme/tiny", "https://huggingface.co/acme/tiny/tree/main?x=1",
        "http://hf.co/acme/tiny#usage", "huggingface.co/acme/tiny", "models--acme--tiny"}) {
    const Error error = refused(link);
    EXPECT_EQ(error.code, "hub/name") << link;
    EXPECT_THAT(error.hint, HasSubstr(": acme/tiny")) << link;
  }
  EXPECT_THAT(refused("https://example.org/acme/tiny").message, HasSubstr("cannot be the name"));
}

TEST_F(LoadByName, AVeryLongNameIsRefusedInALineThatCanBeRead) {
  const Error error = refused(std::string(5000, 'a'));
  EXPECT_EQ(error.code, "hub/name");
  EXPECT_LT(error.message.size(), 200U);
}

TEST_F(LoadByName, TokenizerFilesInTheCacheAreEnoughToTokenize) {
  const std::string commit(40, 'a');
  const fs::path snapshot = make_model("cache/models--acme--tiny/snapshots/" + commit);
  fs::create_directories(snapshot.parent_path().parent_path() / "refs");
  std::ofstream(snapshot.parent_path().parent_path() / "refs/main") << commit;
  fs::remove(snapshot / "model.safetensors");
  EXPECT_EQ(load_tokenizer({.model = "acme/tiny"})->folder, snapshot);
  EXPECT_EQ(load_model({.model = "acme/tiny"}).error().code, "hub/incomplete");
  fs::remove(snapshot / "vocab.txt");
  fs::remove(snapshot / "tokenizer.json");
  EXPECT_EQ(load_tokenizer({.model = "acme/tiny"}).error().code, "hub/incomplete");
}

// HF's BERT class has a [MASK] where the vocabulary has none: an id without a row.
TEST_F(LoadByName, AModelWithoutAMaskRuns) {
  const fs::path model = make_model("m");
  fs::remove(model / "tokenizer.json");
  std::ifstream in(model / "vocab.txt");
  std::string vocabulary{std::istreambuf_iterator<char>(in), {}};
  in.close();
  vocabulary.replace(vocabulary.find("[MASK]"), 6, "[NONE]");
  std::ofstream(model / "vocab.txt") << vocabulary;
  const auto loaded = load_model({.model = model.string()});
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  const std::size_t rows = (*loaded)->checkpoint.plan.vocabulary;
  EXPECT_LE((*loaded)->tokenizer->info().vocabulary, rows);
  EXPECT_EQ(load_tokenizer({.model = model.string()})->tokenizer->info().vocabulary, rows + 1);
  // One that has an id in the files is a mistake in the files.
  std::ofstream(model / "added_tokens.json") << R"({"<new>": )" << rows << "}";
  EXPECT_EQ(load_model({.model = model.string()}).error().code, "model/vocabulary");
}

TEST_F(LoadByName, TheLengthLimitIsWhatTokenizerAndModelTake) {
  const fs::path model = make_model("m");
  const auto of_tokenizer = [&] { return load_tokenizer({.model = model.string()})->length_limit; };
  EXPECT_EQ(of_tokenizer(), 512U);
  std::ofstream(model / "tokenizer_config.json")
      << R"({"tokenizer_class": "BertTokenizer", "model_max_length": 8})";
  EXPECT_EQ(of_tokenizer(), 8U);
  const auto loaded = load_model({.model = model.string()}).value();
  const text::TokenizerInfo& info = loaded->tokenizer->info();
  EXPECT_EQ(length_limit(info, loaded->checkpoint.plan.positions), 8U);
  EXPECT_EQ(length_limit(info, 5), 5U);
  // A model of 64 positions, whose tokenizer knows no limit.
  fs::remove(model / "tokenizer_config.json");
  std::ifstream in(model / "config.json");
  std::string config{std::istreambuf_iterator<char>(in), {}};
  in.close();
  const std::string field = "\"max_position_embeddings\": ";
  const auto at = config.find(field);
  ASSERT_NE(at, std::string::npos);
  config.replace(at + field.size(), 3, "64");
  std::ofstream(model / "config.json") << config;
  EXPECT_EQ(of_tokenizer(), 64U);
  // A tokenizer without a model.
  fs::remove(model / "config.json");
  std::ofstream(model / "tokenizer_config.json") << R"({"tokenizer_class": "BertTokenizer"})";
  EXPECT_EQ(of_tokenizer(), std::numeric_limits<std::size_t>::max());
}

TEST_F(LoadByName, AClosedFolderIsNamedWithTheReason) {
  const fs::path model = make_model("closed/m");
  const fs::path cached = folder_ / "cache/models--acme--tiny";
  fs::create_directories(cached);
  fs::permissions(folder_.path(), fs::perms::others_exec | fs::perms::owner_all);
  const fs::path closed[] = {model.parent_path(), cached.parent_path()};
  for (const fs::path& folder : closed) fs::permissions(folder, fs::perms::none);
  {
    BREAKEVEN_AS_NOBODY();
    EXPECT_THAT(refused(model.string()).message,
                HasSubstr("cannot read " + model.string() + ": Permission denied"));
    const Error in_cache = refused("acme/tiny");
    EXPECT_EQ(in_cache.code, "file/unreadable");
    EXPECT_THAT(in_cache.message, HasSubstr(cached.string()));
    // Nobody asked for a model of the cache: the built-in one is taken, and says why.
    EXPECT_THAT(load_tokenizer({}).value().note, HasSubstr("Permission denied"));
  }
  for (const fs::path& folder : closed) fs::permissions(folder, fs::perms::owner_all);
}

TEST_F(LoadByName, AFolderThatMayNotBeEnteredIsNotCalledIncomplete) {
  const fs::path model = make_model("m");
  fs::permissions(folder_.path(), fs::perms::others_exec | fs::perms::owner_all);
  fs::permissions(model, fs::perms::none);
  {
    BREAKEVEN_AS_NOBODY();
    EXPECT_THAT(load_model({.model = model.string()}).error().message,
                HasSubstr("config.json: Permission denied"));
    EXPECT_THAT(load_tokenizer({.model = model.string()}).error().message,
                HasSubstr("tokenizer.json: Permission denied"));
  }
  fs::permissions(model, fs::perms::owner_all);
}

}  // namespace
}  // namespace breakeven::engine
