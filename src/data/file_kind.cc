#include "data/file_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/utf8.h"

namespace breakeven::data {
namespace {

using std::string_view_literals::operator""sv;

struct Signature {
  std::size_t at;  // byte of the file
  std::string_view bytes;
  const char* kind;
  const char* hint;              // FILE stands for the file
  const char* pandas = nullptr;  // the hint ends with how pandas converts it
};

// For a table that pandas reads: {} is what it calls the kind of file.
constexpr const char* kPandas =
    "python3 -c \"import pandas; pandas.read_{}('FILE').to_json('texts.jsonl', orient='records', "
    "lines=True)\"";
constexpr const char* kConvert = "convert it, as in: ";
constexpr const char* kText = "save what it holds as text, one text a line, or as CSV";
constexpr const char* kExcel = "save the sheet as CSV, or: ";
constexpr const char* kUnpack = "unpack it first";
constexpr const char* kWrongFile = "give a file of texts";

constexpr Signature kSignatures[] = {
    {0, "PAR1\x15"sv, "a Parquet file",
     "Python labels it (breakeven.classify_parquet, python -m breakeven.shards); or convert it, as "
     "in: duckdb -c \"copy 'FILE' to 'texts.jsonl'\", or: ",
     "parquet"},
    {0, "ARROW1\0"sv, "an Arrow file", kConvert, "feather"},
    {0, "FEA1\0"sv, "a Feather file", kConvert, "feather"},
    {0, "\xFF\xFF\xFF\xFF"sv, "an Arrow stream",
     "convert it, as in: python3 -c \"import datasets; "
     "datasets.Dataset.from_file('FILE').to_json('texts.jsonl')\""},
    {0, "ORC\x08"sv, "an ORC file", kConvert, "orc"},
    {0, "Obj\x01"sv, "an Avro file", "convert it, as in: avro-tools tojson FILE > texts.jsonl"},
    {0, "\x93NUMPY"sv, "a NumPy array",
     "convert it, as in: python3 -c \"import json, numpy; [print(json.dumps({'text': str(t)})) for "
     "t "
     "in numpy.load('FILE').flat]\" > texts.jsonl"},
    {0, "\x89HDF\r\n"sv, "an HDF5 file", kText},
    {0, "SQLite format 3\0"sv, "an SQLite database",
     "write the texts out, as in: sqlite3 -csv -header FILE 'select text from reviews' > "
     "texts.csv"},
    {0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, "an old Excel or Word file", kExcel, "excel"},
    {0, "%PDF-"sv, "a PDF file", "write its text out, as in: pdftotext FILE texts.txt"},
    {0, "{\\rtf"sv, "an RTF document", kText},
    {0, "\x89PNG"sv, "a PNG image", kWrongFile},
    {0, "\xFF\xD8\xFF"sv, "a JPEG image", kWrongFile},
    {0, "GIF87a"sv, "a GIF image", kWrongFile},
    {0, "GIF89a"sv, "a GIF image", kWrongFile},
    {0, "II*\0"sv, "a TIFF image", kWrongFile},
    {0, "MM\0*"sv, "a TIFF image", kWrongFile},
    {8, "WEBP"sv, "a WebP image", kWrongFile},
    {8, "WAVE"sv, "a WAV file", kWrongFile},
    {4, "ftyp"sv, "a video or image", kWrongFile},
    {0, "OggS\0"sv, "an Ogg file", kWrongFile},
    {0,
     "\x7F"
     "ELF"sv,
     "a program", kWrongFile},
    {0, "GGUF\x03"sv, "a GGUF model",
     "give it to --model as safetensors, and here a file of texts"},
    {0, "PK\x05\x06"sv, "a zip archive that holds no file", kWrongFile},
    {0, "7z\xBC\xAF\x27\x1C"sv, "a 7z archive", kUnpack},
    {0, "Rar!\x1A\x07"sv, "a RAR archive", kUnpack},
    {0, "MSCF\0"sv, "a cabinet archive", kUnpack},
    {0, "\xFF\x06\0\0sNaPpY"sv, "a snappy file", kUnpack},
    {0, "\x89LZO\0"sv, "an lzop file", kUnpack},
    {0, "version https://git-lfs.github.com/spec/"sv, "a pointer of Git LFS, not the file itself",
     "fetch the file with git lfs pull"},
};

// By a member of a zip archive that every file of this kind has.
constexpr Signature kZips[] = {
    {0, "xl/workbook.xml"sv, "an Excel file", kExcel, "excel"},
    {0, "xl/workbook.bin"sv, "an Excel file", kExcel, "excel"},
    {0, "word/document.xml"sv, "a Word document", kText},
    {0, "ppt/presentation.xml"sv, "a PowerPoint file", kText},
    {0, "[Content_Types].xml"sv, "an Office file", kText},
    {0, "content.xml"sv, "a LibreOffice document", kText},
    {0, "mimetype"sv, "a LibreOffice document or an EPUB book", kText},
    {0, "META-INF/MANIFEST.MF"sv, "a Java archive", kWrongFile},
    {0, "data.pkl"sv, "a PyTorch file",
     "give it to --model as safetensors, and here a file of texts"},
    {0, ".npy"sv, "a NumPy archive (.npz)",
     "convert one of its arrays, as in: python3 -c \"import json, numpy; "
     "[print(json.dumps({'text': "
     "str(t)})) for t in numpy.load('FILE')['NAME'].flat]\" > texts.jsonl"},
};

tl::unexpected<Error> refused(const std::string& name, const Signature& what) {
  std::string hint = what.hint;
  if (what.pandas != nullptr) hint += fmt::format(kPandas, what.pandas);
  constexpr std::string_view kPlace = "FILE";
  const std::string path = name == "stdin" ? "/dev/stdin" : name;
  for (std::size_t at = 0; (at = hint.find(kPlace, at)) != std::string::npos; at += path.size()) {
    hint.replace(at, kPlace.size(), path);
  }
  return fail("data/binary",
              fmt::format("{} is {}; texts are read from JSONL, JSON, CSV and plain lines", name,
                          what.kind),
              std::move(hint));
}

// A pickle of protocol 2 or later: its version, then a frame or a first instruction.
bool is_pickle(std::string_view head) {
  return head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5;
}

// Eight bytes of length, then JSON.
bool is_safetensors(std::string_view head) {
  return head.size() > 9 && head.substr(4, 4) == "\0\0\0\0"sv && head.substr(8, 2) == "{\""sv;
}

// A control character that texts do not have; escape begins colours on a terminal.
bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && "\t\n\v\f\r\b\x1B"sv.find(c) == std::string_view::npos) || byte == 0x7F;
}

// In Latin letters every other byte is zero. In other alphabets line ends and blanks have one, on
// the same side, and the bytes are no UTF-8.
std::string_view utf16_without_mark(std::string_view head) {
  std::size_t zeros[2] = {};
  std::size_t blanks[2] = {};  // with their zero first, and last
  std::size_t others = 0;      // bytes that ASCII does not have
  for (std::size_t i = 0; i + 1 < head.size(); i += 2) {
    for (std::size_t side = 0; side < 2; ++side) {
      const char c = head[i + side];
      const bool blank = head[i + 1 - side] == '\n' || head[i + 1 - side] == ' ';
      zeros[side] += c == '\0' ? 1U : 0U;
      blanks[side] += c == '\0' && blank ? 1U : 0U;
      others += is_control(c) || static_cast<unsigned char>(c) >= 0x80 ? 1U : 0U;
    }
  }
  const std::size_t pairs = head.size() / 2;
  const bool foreign = head.size() % 2 == 0 && others * 8 > head.size() && !is_valid_utf8(head);
  const auto has = [&](std::size_t side) {
    const bool latin = zeros[side] >= 2 && zeros[side] * 2 > pairs && zeros[1 - side] * 8 < pairs;
    return latin || (foreign && blanks[side] > blanks[1 - side]);
  };
  return has(1) ? "utf-16le" : has(0) ? "utf-16be" : "";
}

}  // namespace

Result<void> refuse_known_binary(std::string_view head, const std::string& name) {
  for (const Signature& signature : kSignatures) {
    if (head.size() < signature.at || !head.substr(signature.at).starts_with(signature.bytes))
      continue;
    // Such letters may stand in a text as well, but not beside a NUL.
    const bool text = signature.at > 0 && head.substr(0, 16).find('\0') == std::string_view::npos;
    if (!text) return refused(name, signature);
  }
  if (is_pickle(head)) {
    return refused(name,
                   {0, "", "a Python pickle",
                    "write it as JSONL by the program that made it, or, if it is a table that you "
                    "trust: ",
                    "pickle"});
  }
  if (is_safetensors(head)) {
    return refused(name, {0, "", "a model's weights (safetensors)",
                          "give its folder to --model, and here a file of texts"});
  }
  return {};
}

Result<void> refuse_known_zip(const std::vector<std::string>& members, const std::string& name) {
  for (const Signature& signature : kZips) {
    for (const std::string& member : members) {
      if (member.ends_with(signature.bytes)) return refused(name, signature);
    }
  }
  return {};
}

Result<void> refuse_unknown_binary(std::string_view head, const std::string& name) {
  const std::string_view utf16 = utf16_without_mark(head);
  if (!utf16.empty()) {
    return fail("data/binary", fmt::format("{} looks like UTF-16 without a byte order mark", name),
                fmt::format("give --encoding {}, or --encoding utf-8 to read the bytes as they are",
                            utf16));
  }
  const auto controls =
      static_cast<std::size_t>(std::count_if(head.begin(), head.end(), is_control));
  // A few are stray; where the bytes are no UTF-8 either, fewer are enough.
  constexpr std::size_t kStray = 8;
  const std::size_t share =
      is_valid_utf8(head.substr(0, head.size() - std::min<std::size_t>(3, head.size()))) ? 10 : 25;
  const bool any_text = controls < head.size() || head.empty();
  if (any_text && (controls < kStray || controls * share < head.size())) return {};
  return fail(
      "data/binary",
      fmt::format("{} holds no text that is known: {} of its first {} bytes are control characters",
                  name, controls, head.size()),
      "convert it to JSONL, CSV or plain lines; if it is text in another encoding, name it, as "
      "in --encoding utf-16le or utf-32le (utf-8: the bytes are read as they are)");
}

}  // namespace breakeven::data
