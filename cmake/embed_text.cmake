# Turns a text file into a C++ string literal to be included.
# usage: cmake -DIN=data/reviews.jsonl -DOUT=builtin_reviews.inc [-DINLINE=ON] -P embed_text.cmake
# INLINE: the text will stand inside <script> or <style> and must not end it, nor change when a browser reads it.
file(READ "${IN}" text)
set(clashes ")embedded\"")
if(INLINE)
  list(APPEND clashes "</script" "</style" "<!--" "\r")
endif()
foreach(clash IN LISTS clashes)
  string(FIND "${text}" "${clash}" at)
  if(NOT at EQUAL -1)
    message(FATAL_ERROR "${IN} holds ${clash}, which its embedding cannot hold")
  endif()
endforeach()
file(WRITE "${OUT}" "R\"embedded(${text})embedded\"\n")
