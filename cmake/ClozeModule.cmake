# cloze_module(<folder> [TORCH] [PROTO] [VECTOR] [DEPS <folder>...] [LIBS <target>...])
#
# One static library per folder from its *.cc (and *.proto when PROTO), and one test binary from
# its *_test.cc. DEPS is the layer diagram: a folder may include only itself and what it names
# here; tests/architecture/layers_test.cc holds it to that. TORCH folders link LibTorch and
# share one precompiled header. VECTOR folders are compiled a second time, for AVX-512, with
# CLOZE_KERNEL_AVX512 defined, and tested on both instruction sets.
set(CLOZE_LAYERS_FILE "${CMAKE_BINARY_DIR}/layers.txt")
file(WRITE "${CLOZE_LAYERS_FILE}" "")

function(cloze_target_name folder result)
  string(REPLACE "/" "_" name "cloze_${folder}")
  set(${result} ${name} PARENT_SCOPE)
endfunction()

# cloze_shared_header(<target> <library> <header>...): headers compiled once, for those who reuse
# them. With CLOZE_PCH off, everyone compiles them.
function(cloze_shared_header target library)
  if(CLOZE_PCH)
    set(source "${CMAKE_BINARY_DIR}/${target}.cc")
    file(CONFIGURE OUTPUT "${source}" CONTENT "// Compiles a header that others share.\n")
    add_library(${target} OBJECT "${source}")
    target_link_libraries(${target} PUBLIC ${library})
    target_compile_options(${target} PRIVATE ${CLOZE_WARNINGS})
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()

function(cloze_reuse_header target shared)
  if(CLOZE_PCH)
    target_precompile_headers(${target} REUSE_FROM ${shared})
    # Executables get -fPIE, which the header was not compiled with.
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()

# Links LibTorch and uses its shared header.
function(cloze_use_torch target)
  target_link_libraries(${target} PUBLIC torch::cpu)
  cloze_reuse_header(${target} cloze_torch_pch)
endfunction()

function(cloze_module folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH;PROTO;VECTOR" "" "DEPS;LIBS")
  cloze_target_name(${folder} target)
  set(dependencies "")
  foreach(dependency IN LISTS arg_DEPS)
    cloze_target_name(${dependency} name)
    list(APPEND dependencies ${name})
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS "${folder}/*.cc")
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_benchmark\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(protos "")
  if(arg_PROTO)
    file(GLOB protos CONFIGURE_DEPENDS "${folder}/*.proto")
  endif()

  if(sources)
    set(scope PUBLIC)
    add_library(${target} STATIC ${sources})
    target_compile_options(${target} PRIVATE ${CLOZE_WARNINGS})
    if(arg_VECTOR)
      # Always optimised: what is not inlined would exist once for each set under one name. Where
      # no user waits, -O2 will do: it compiles in three quarters of the time.
      set(optimisation $<IF:$<CONFIG:Release>,-O3,-O2>)
      target_compile_options(${target} PRIVATE ${optimisation})
      add_library(${target}_avx512 OBJECT ${sources})
      target_include_directories(${target}_avx512 PRIVATE "${PROJECT_SOURCE_DIR}")
      target_compile_definitions(${target}_avx512 PRIVATE CLOZE_KERNEL_AVX512)
      # GCC 12 warns of the undefined vectors in its own AVX-512 header; Clang, which lints, does
      # not know the second of these warnings.
      target_compile_options(${target}_avx512 PRIVATE ${CLOZE_WARNINGS} -Wno-unknown-warning-option
                             -Wno-uninitialized -Wno-maybe-uninitialized
                             ${optimisation} -march=x86-64-v4 -mprefer-vector-width=512)
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_avx512>)
    endif()
  else()
    set(scope INTERFACE)
    add_library(${target} INTERFACE)
  endif()
  target_include_directories(${target} ${scope} "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${target} ${scope} ${dependencies} ${arg_LIBS})
  if(arg_PROTO AND protos)
    # Generated code lives in a library of its own, so that our warnings do not apply to it.
    add_library(${target}_proto STATIC)
    target_link_libraries(${target}_proto PUBLIC protobuf::libprotobuf)
    target_include_directories(${target}_proto SYSTEM PUBLIC "${CMAKE_BINARY_DIR}/generated")
    file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/generated")
    protobuf_generate(TARGET ${target}_proto LANGUAGE cpp PROTOS ${protos}
                      IMPORT_DIRS "${PROJECT_SOURCE_DIR}"
                      PROTOC_OUT_DIR "${CMAKE_BINARY_DIR}/generated")
    target_link_libraries(${target} ${scope} ${target}_proto)
  endif()
  if(arg_TORCH)
    if(scope STREQUAL "PUBLIC")
      cloze_use_torch(${target})
    else()
      target_link_libraries(${target} INTERFACE torch::cpu)
    endif()
  endif()

  if(tests AND CLOZE_TESTS)
    add_executable(${target}_test ${tests})
    target_compile_options(${target}_test PRIVATE ${CLOZE_TEST_OPTIONS})
    target_compile_definitions(${target}_test PRIVATE CLOZE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    target_link_libraries(${target}_test PRIVATE ${target} GTest::gtest GTest::gtest_main)
    if(arg_TORCH)
      cloze_use_torch(${target}_test)
    else()
      cloze_reuse_header(${target}_test cloze_gtest_pch)
    endif()
    add_test(NAME ${folder} COMMAND ${target}_test)
    set_tests_properties(${folder} PROPERTIES TIMEOUT 900 LABELS unit)
    if(arg_VECTOR)
      add_test(NAME ${folder}:avx2 COMMAND ${target}_test)
      set_tests_properties(${folder}:avx2 PROPERTIES TIMEOUT 900 LABELS unit
                           ENVIRONMENT GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F)
    endif()
  endif()
  list(JOIN arg_DEPS " " edges)
  file(APPEND "${CLOZE_LAYERS_FILE}" "${folder}: ${edges}\n")
endfunction()

# cloze_emulate_kernels(<folder>): compiles the folder's *.cu as C++ for its emulator, so that its
# tests run them on the CPU, along with the checks that a GPU's test program makes. CUDA's own
# compiler is not needed; scripts/gpu_check uses it.
function(cloze_emulate_kernels folder)
  cloze_target_name(${folder} target)
  if(NOT TARGET ${target}_test)
    return()
  endif()
  file(GLOB kernels CONFIGURE_DEPENDS "${folder}/*.cu")
  file(GLOB checks CONFIGURE_DEPENDS "tests/device/*.cc")
  list(FILTER checks EXCLUDE REGEX "/main\\.cc$")
  add_library(${target}_emulated STATIC ${kernels} ${checks})
  set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX)
  # GCC 12 makes a fused instruction of a * b -+ c * d where it vectorises straight code, even
  # with -ffp-contract=off.
  target_compile_options(${target}_emulated PRIVATE ${CLOZE_WARNINGS} -fno-tree-slp-vectorize)
  target_link_libraries(${target}_emulated PUBLIC ${target})
  target_link_libraries(${target}_test PRIVATE ${target}_emulated)
endfunction()
