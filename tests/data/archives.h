// Compressed files and archives for the tests, made by libarchive.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/files.h"

namespace breakeven::data {

using Files = std::map<std::string, std::string>;  // content by path

// `format` and `filter` are libarchive's names: "zip", "gnutar", "raw" (one file, no archive);
// "gzip", "xz", "none".
inline std::string write_archive(const std::filesystem::path& path, const Files& files,
                                 const char* filter, const char* format = "paxr",
                                 const char* password = nullptr) {
  archive* writer = archive_write_new();
  if (std::string_view(filter) != "none") {
    EXPECT_EQ(archive_write_add_filter_by_name(writer, filter), ARCHIVE_OK) << filter;
  }
  EXPECT_EQ(archive_write_set_format_by_name(writer, format), ARCHIVE_OK) << format;
  if (password != nullptr) {
    EXPECT_EQ(archive_write_set_options(writer, "zip:encryption=traditional"), ARCHIVE_OK);
    EXPECT_EQ(archive_write_set_passphrase(writer, password), ARCHIVE_OK);
  }
  EXPECT_EQ(archive_write_open_filename(writer, path.c_str()), ARCHIVE_OK);
  for (const auto& [name, text] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(text.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    EXPECT_EQ(archive_write_header(writer, entry), ARCHIVE_OK);
    archive_write_data(writer, text.data(), text.size());
    archive_entry_free(entry);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  return path.string();
}

// `text` compressed by a filter of libarchive.
inline std::string compressed(const std::filesystem::path& scratch, std::string_view text,
                              const char* filter) {
  return read_file(write_archive(scratch, {{"text", std::string(text)}}, filter, "raw")).value();
}

}  // namespace breakeven::data
