# One target a folder. Flags live on one INTERFACE target, so that a folder's CMakeLists is a list of files.
add_library(breakeven_flags INTERFACE)
target_compile_features(breakeven_flags INTERFACE cxx_std_20)
target_include_directories(breakeven_flags INTERFACE "${CMAKE_SOURCE_DIR}/src" "${CMAKE_BINARY_DIR}/generated")
# -Wno-restrict: GCC 12 sees overlaps in its own std::string (GCC bug 105651).
# -ffp-contract=off: the reference and the kernels must not differ by a compiler's silent fused multiply-add.
set(cxx_only "$<$<COMPILE_LANGUAGE:CXX>:")
target_compile_options(breakeven_flags INTERFACE
  "${cxx_only}-Wall;-Wextra;-Wconversion;-Wsign-conversion;-Wshadow;-Wnon-virtual-dtor;-Wold-style-cast;-ffp-contract=off>"
  "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>")
# Not CMAKE_CUDA_STANDARD: CMake 3.25.1 does not know that nvcc has C++20 and drops it without a word.
target_compile_options(breakeven_flags INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>")
# fmt 9 switches half of its constexpr off under nvcc, and the other half then does not compile as C++20.
target_compile_definitions(breakeven_flags INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>")
target_link_libraries(breakeven_flags INTERFACE Threads::Threads fmt::fmt)
if(BREAKEVEN_WERROR)
  target_compile_options(breakeven_flags INTERFACE "${cxx_only}-Werror>")
endif()
if(BREAKEVEN_SANITIZE)
  target_compile_options(breakeven_flags INTERFACE
    "${cxx_only}-fsanitize=${BREAKEVEN_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
  target_link_options(breakeven_flags INTERFACE "-fsanitize=${BREAKEVEN_SANITIZE}")
endif()
if(BREAKEVEN_COVERAGE)
  target_compile_options(breakeven_flags INTERFACE "${cxx_only}--coverage>")
  target_link_options(breakeven_flags INTERFACE --coverage)
endif()

# breakeven_library(NAME SOURCES a.cc ... DEPS target ...): one folder's library.
function(breakeven_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC breakeven_flags ${arg_DEPS})
endfunction()

# breakeven_data_folder(SOURCE MACRO FOLDER): a folder of this tree that a program reads as it is run; one source file knows it, so that
# all other objects are the same in every checkout. A program that is packed for other machines looks beside itself only.
function(breakeven_data_folder source macro folder)
  set(path "${CMAKE_SOURCE_DIR}/${folder}")
  if(BREAKEVEN_PYTHON)
    set(path "")
  endif()
  set_source_files_properties(${source} PROPERTIES COMPILE_DEFINITIONS "${macro}=\"${path}\"")
endfunction()

# breakeven_test(NAME SOURCES a.cc ... DEPS target ... [LABELS slow]): one GoogleTest program, one ctest entry.
# A program whose tests skipped prints "SKIPPED"; ctest then counts it as skipped only when every test in it did.
function(breakeven_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE breakeven_flags breakeven_testing ${arg_DEPS} GTest::gmock GTest::gtest_main)
  # Optimised, a test compiles for nearly twice as long, and what it tests lies in the libraries. Those of ops run kernels themselves.
  if(NOT CMAKE_CURRENT_SOURCE_DIR MATCHES "/tests/ops(/|$)")
    target_compile_options(${name} PRIVATE -O0)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}")
endfunction()

# breakeven_bench(NAME SOURCES ... DEPS ...): one benchmark program under build/<preset>/bench.
function(breakeven_bench name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE breakeven_flags ${arg_DEPS} benchmark::benchmark)
endfunction()

# breakeven_fuzzer(NAME SOURCES ... DEPS ...): one libFuzzer program.
function(breakeven_fuzzer name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE breakeven_flags ${arg_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
