# Turns the tables of docs/parity.md into limits.inc: every row "| `key` | number | reason |" becomes one entry.
# usage: cmake -DIN=docs/parity.md -DOUT=limits.inc -P generate_limits.cmake
file(STRINGS "${IN}" lines ENCODING UTF-8 REGEX "^\\| `[a-z0-9_./]+` \\|")
set(text "// Generated from docs/parity.md; edit that file.\n")
foreach(line IN LISTS lines)
  if(NOT line MATCHES "^\\| `([a-z0-9_./]+)` \\| ([0-9.e+-]+) \\| .+ \\|$")
    message(FATAL_ERROR "docs/parity.md: this row is not '| `key` | number | reason |': ${line}")
  endif()
  string(APPEND text "{\"${CMAKE_MATCH_1}\", ${CMAKE_MATCH_2}},\n")
endforeach()
file(WRITE "${OUT}" "${text}")
