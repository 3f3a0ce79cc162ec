# cloze_gpu_library(<folder>): libcloze_cuda.so of the folder's *.cu, with CUDA's own compiler.
#
#   CLOZE_CUDA=AUTO   where nvcc is found (default);  ON: an error where it is not;  OFF: never
#   CLOZE_CUDA_ARCHITECTURES   compute capabilities; of the last one, code for later GPUs too
#
# What the kernels share with those of the CPU, checks of sizes, comes from cloze_parallel_kernels.
# The program opens the library when a run asks for a GPU and is not linked with it. nvcc is called
# directly: CMake's own support would compile the same files only once, and the emulator of the
# kernels compiles them as C++.
set(CLOZE_CUDA "AUTO" CACHE STRING "Build the kernels of GPUs: AUTO, ON or OFF")
set_property(CACHE CLOZE_CUDA PROPERTY STRINGS AUTO ON OFF)
set(CLOZE_CUDA_ARCHITECTURES "80;90;100" CACHE STRING "Compute capabilities, such as 80;90")
if(NOT CLOZE_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "CLOZE_CUDA is '${CLOZE_CUDA}': say AUTO, ON or OFF")
endif()

# Sets `result` to what keeps this nvcc from building the kernels; empty when nothing does.
function(cloze_check_nvcc result)
  set(${result} "" PARENT_SCOPE)
  execute_process(COMMAND "${CLOZE_NVCC}" --version OUTPUT_VARIABLE output ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+)" ignored "${output}")
  if(NOT CMAKE_MATCH_1 OR CMAKE_MATCH_1 LESS 13)
    set(${result} "${CLOZE_NVCC} is not of CUDA 13 or later" PARENT_SCOPE)
    return()
  endif()
  set(source "${CMAKE_BINARY_DIR}/cloze_cuda/check.cu")
  file(WRITE "${source}" "#include <vector>\n__global__ void nothing() {}\n")
  execute_process(
    COMMAND "${CLOZE_NVCC}" -std=c++20 -ccbin "${CMAKE_CXX_COMPILER}" -c "${source}" -o "${source}.o"
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
  if(NOT status EQUAL 0)
    set(${result} "${CLOZE_NVCC} does not compile with ${CMAKE_CXX_COMPILER}" PARENT_SCOPE)
  endif()
endfunction()

function(cloze_gpu_library folder)
  if(CLOZE_CUDA STREQUAL "OFF")
    return()
  endif()
  find_program(CLOZE_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT CLOZE_NVCC)
    if(CLOZE_CUDA STREQUAL "ON")
      message(FATAL_ERROR "CLOZE_CUDA is ON and nvcc is not found: put CUDA 13's bin folder on the "
                          "PATH, or say -DCLOZE_NVCC=/path/to/nvcc")
    endif()
    return()
  endif()
  cloze_check_nvcc(problem)
  if(problem AND CLOZE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "CLOZE_CUDA is ON and ${problem}")
  elseif(problem)
    message(STATUS "No kernels of GPUs are built: ${problem}")
    return()
  endif()
  set(generate "")
  foreach(architecture IN LISTS CLOZE_CUDA_ARCHITECTURES)
    list(APPEND generate -gencode arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  list(GET CLOZE_CUDA_ARCHITECTURES -1 last)
  list(APPEND generate -gencode arch=compute_${last},code=compute_${last})
  file(GLOB kernels CONFIGURE_DEPENDS "${folder}/*.cu")
  set(flags "${PROJECT_SOURCE_DIR}/${folder}/nvcc.flags")
  set(warnings "${PROJECT_SOURCE_DIR}/${folder}/nvcc_warnings.flags")
  set(objects "")
  foreach(kernel IN LISTS kernels)
    cmake_path(GET kernel STEM name)
    set(object "${CMAKE_BINARY_DIR}/cloze_cuda/${name}.o")
    add_custom_command(
      OUTPUT "${object}"
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} "${CLOZE_NVCC}" --options-file "${flags}" ${generate}
              --threads 0 -ccbin "${CMAKE_CXX_COMPILER}" -Xcompiler -fPIC,-fvisibility=hidden
              --options-file "${warnings}"
              -I "${PROJECT_SOURCE_DIR}" -MD -MF "${object}.d" -c "${kernel}" -o "${object}"
      DEPENDS "${kernel}" "${flags}" "${warnings}"
      DEPFILE "${object}.d"
      COMMENT "Building GPU object ${name}.o"
      VERBATIM)
    list(APPEND objects "${object}")
  endforeach()
  set(library "${CMAKE_BINARY_DIR}/libcloze_cuda.so")
  add_custom_command(
    OUTPUT "${library}"
    COMMAND "${CLOZE_NVCC}" -shared -cudart shared -ccbin "${CMAKE_CXX_COMPILER}" ${objects}
            $<TARGET_FILE:cloze_parallel_kernels> -Xlinker -z,defs -o "${library}"
    DEPENDS ${objects} cloze_parallel_kernels
    COMMENT "Linking libcloze_cuda.so"
    VERBATIM)
  add_custom_target(cloze_cuda ALL DEPENDS "${library}")
  set(CLOZE_GPU_LIBRARY "${library}" PARENT_SCOPE)
endfunction()
