# Turns a text file into a C++ string literal to be included.
# usage: cmake -DIN=data/reviews.jsonl -DOUT=builtin_reviews.inc -P embed_text.cmake
file(READ "${IN}" text)
string(FIND "${text}" ")embedded\"" clash)
if(NOT clash EQUAL -1)
  message(FATAL_ERROR "${IN} holds the delimiter )embedded\"")
endif()
file(WRITE "${OUT}" "R\"embedded(${text})embedded\"\n")
