#include "ops/cuda/packages.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/files.h"
#include "base/program_folder.h"

namespace breakeven::ops::cuda {

std::vector<std::filesystem::path> package_folders() {
  std::vector<std::filesystem::path> folders;
  // site-packages/breakeven/_core.so, breakeven/bin/breakeven,
  // breakeven_cuda13/libbreakeven_cuda.so
  const std::filesystem::path own = code_folder();
  for (const auto& package : {own, own.parent_path()}) {
    const std::string name = package.filename().string();
    const bool ours = name == "breakeven" || name.starts_with("breakeven_cuda");
    if (ours && is_there(package / "__init__.py")) folders.push_back(package.parent_path());
  }
  const char* list = std::getenv("BREAKEVEN_SITE_PACKAGES");
  for (std::string_view rest = list == nullptr ? "" : list; !rest.empty();) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::filesystem::path folder(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!folder.empty() && std::find(folders.begin(), folders.end(), folder) == folders.end())
      folders.push_back(folder);
  }
  return folders;
}

std::vector<std::string> cublas_lt_files(int major, const std::string& toolkit,
                                         const std::vector<std::filesystem::path>& sites) {
  if (const char* file = std::getenv("BREAKEVEN_CUBLASLT")) return {file};
  const std::string name = fmt::format("libcublasLt.so.{}", major);
  std::vector<std::string> files{name};
  for (const auto& site : sites) {
    for (const std::string& folder : {fmt::format("nvidia/cu{}/lib", major),
                                      std::string("nvidia/cublas/lib"), std::string("torch/lib")}) {
      files.push_back((site / folder / name).string());
    }
  }
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) files.push_back((program.parent_path().parent_path() / "lib" / name).string());
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const char* home = std::getenv(variable)) {
      files.push_back(fmt::format("{}/lib64/{}", home, name));
      files.push_back(fmt::format("{}/lib/{}", home, name));
    }
  }
  if (!toolkit.empty()) files.push_back(fmt::format("{}/{}", toolkit, name));
  files.push_back("/usr/local/cuda/lib64/" + name);
  return files;
}

std::string cublas_lt_remedy(int major) {
  return major < 13 ? fmt::format("pip install nvidia-cublas-cu{}", major)
                    : fmt::format("pip install 'nvidia-cublas>={},<{}'", major, major + 1);
}

}  // namespace breakeven::ops::cuda
