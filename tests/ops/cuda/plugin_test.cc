// Finding the CUDA engine and cublasLt as pip leaves them, and what is said where they are not.
#include "ops/cuda/plugin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "ops/cuda/packages.h"
#include "testing/paths.h"

namespace breakeven::ops::cuda {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

class PluginFile : public ::testing::Test {
 protected:
  void put(int major, const std::string& file) const {
    const auto folder = site_ / ("breakeven_cuda" + std::to_string(major));
    std::filesystem::create_directory(folder);
    std::filesystem::copy_file(file, folder / "libbreakeven_cuda.so",
                               std::filesystem::copy_options::overwrite_existing);
  }
  Error refused(int driver_version) const {
    const auto opened = open_plugin({site_.path()}, driver_version);
    return opened ? Error{"opened", (*opened)->version, ""} : opened.error();
  }
  testing::TempDir site_;
};

TEST_F(PluginFile, IsOpenedAndMakesARuntime) {
  put(13, FAKE_PLUGIN);
  const auto opened = open_plugin({"/nowhere", site_.path()}, 13000);
  ASSERT_TRUE(opened) << opened.error().to_string();
  EXPECT_EQ((*opened)->make(3).error().message, "made for 3");
}

TEST_F(PluginFile, IsTheNewestThatTheDriverTakes) {
  put(12, FAKE_PLUGIN);
  put(13, OTHER_PLUGIN);
  EXPECT_EQ(refused(12040).code, "opened");
  EXPECT_EQ(refused(13000).code, "device/plugin") << "that of CUDA 13, which is of another build";
  EXPECT_EQ(refused(14020).code, "device/plugin");
  std::filesystem::remove_all(site_ / "breakeven_cuda13");
  EXPECT_EQ(refused(13000).code, "opened") << "a newer driver runs what CUDA 12 built";
}

TEST_F(PluginFile, ThatIsMissingIsNamedWithTheLineThatMendsIt) {
  const Error thirteen = refused(13010);
  EXPECT_EQ(thirteen.code, "device/no-engine");
  EXPECT_THAT(thirteen.message,
              AllOf(HasSubstr("breakeven-cuda13"), HasSubstr(site_.path().string())));
  EXPECT_EQ(thirteen.hint, "pip install 'breakeven[cuda13]'");
  EXPECT_EQ(refused(12080).hint, "pip install 'breakeven[cuda12]'");
  EXPECT_EQ(refused(0).hint, "pip install 'breakeven[cuda13]'") << "an unknown driver";
  EXPECT_THAT(refused(11080).to_string(), AllOf(HasSubstr("11.8"), HasSubstr("update the driver")));
}

TEST_F(PluginFile, ThatNeedsANewerDriverIsRefused) {
  put(13, FAKE_PLUGIN);
  const Error error = refused(12040);
  EXPECT_EQ(error.code, "device/no-engine");
  EXPECT_THAT(error.message, AllOf(HasSubstr("580"), HasSubstr("12.4")));
  EXPECT_EQ(error.hint, "pip install 'breakeven[cuda12]'");
}

TEST_F(PluginFile, OfAnotherBuildIsRefusedWithBothVersions) {
  put(13, OTHER_PLUGIN);
  const Error error = refused(13000);
  EXPECT_EQ(error.code, "device/plugin");
  EXPECT_THAT(error.message, HasSubstr("7.8.9"));
  EXPECT_EQ(error.hint, "pip install --upgrade 'breakeven[cuda13]'");
}

TEST_F(PluginFile, ThatIsNoneIsRefused) {
  std::ofstream(site_ / "text") << "no library";
  put(13, (site_ / "text").string());
  EXPECT_THAT(refused(13000).to_string(),
              AllOf(HasSubstr("cannot be loaded"), HasSubstr("--force-reinstall")));
  const Variable other("BREAKEVEN_CUDA_PLUGIN", NO_PLUGIN);
  EXPECT_THAT(refused(13000).message, HasSubstr("is no CUDA engine"));
}

TEST(CublasLt, IsLookedForAsPipUsersHaveIt) {
  const auto files = cublas_lt_files(13, "", {"/site"});
  EXPECT_EQ(files.front(), "libcublasLt.so.13") << "what is loaded already comes first";
  EXPECT_THAT(files, IsSupersetOf({"/site/nvidia/cu13/lib/libcublasLt.so.13",
                                   "/site/torch/lib/libcublasLt.so.13"}));
  EXPECT_THAT(
      cublas_lt_files(12, "/toolkit", {"/site"}),
      IsSupersetOf({"/site/nvidia/cublas/lib/libcublasLt.so.12", "/toolkit/libcublasLt.so.12"}));
  EXPECT_EQ(cublas_lt_remedy(13), "pip install 'nvidia-cublas>=13,<14'");
  EXPECT_EQ(cublas_lt_remedy(12), "pip install nvidia-cublas-cu12");
  const Variable named("BREAKEVEN_CUBLASLT", "/mine.so");
  EXPECT_THAT(cublas_lt_files(13, "/toolkit", {"/site"}), ElementsAre("/mine.so"));
}

TEST(Packages, ComeFromTheListOfPython) {
  EXPECT_THAT(package_folders(), ElementsAre()) << "this program lies in no package";
  const Variable list("BREAKEVEN_SITE_PACKAGES", "/a:/b::/a");
  EXPECT_THAT(package_folders(), ElementsAre("/a", "/b"));
}

}  // namespace
}  // namespace breakeven::ops::cuda
