# Finds LibTorch inside the PyPI wheel, without the wheel's own CMake package (which enables
# CUDA, probes for a GPU and links every CUDA library).
#
#   CLOZE_TORCH_DIR   folder of the torch package; default: the one of .venv, else of python3
#   torch::headers    include folder without the protobuf, fmt and pybind11 copies of the wheel,
#                     which would hide the system's
#   torch::cpu        libtorch_cpu and libc10
set(CLOZE_TORCH_DIR "" CACHE PATH "Folder of the torch package (contains lib/ and include/)")
if(NOT CLOZE_TORCH_DIR)
  find_program(CLOZE_PYTHON NAMES python3 HINTS "${PROJECT_SOURCE_DIR}/.venv/bin" NO_CMAKE_FIND_ROOT_PATH)
  execute_process(
    COMMAND "${CLOZE_PYTHON}" -c
      "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(CLOZE_TORCH_DIR "${found}" CACHE PATH "Folder of the torch package" FORCE)
endif()

if(EXISTS "${CLOZE_TORCH_DIR}/version.py")
  file(STRINGS "${CLOZE_TORCH_DIR}/version.py" version_line REGEX "^__version__")
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" LibTorch_VERSION "${version_line}")
  set(torch_include "${CMAKE_BINARY_DIR}/torch_include")
  file(MAKE_DIRECTORY "${torch_include}")
  file(GLOB entries RELATIVE "${CLOZE_TORCH_DIR}/include" "${CLOZE_TORCH_DIR}/include/*")
  foreach(entry IN LISTS entries)
    if(NOT entry MATCHES "^(google|fmt|pybind11)$" AND NOT EXISTS "${torch_include}/${entry}")
      file(CREATE_LINK "${CLOZE_TORCH_DIR}/include/${entry}" "${torch_include}/${entry}" SYMBOLIC)
    endif()
  endforeach()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS CLOZE_TORCH_DIR torch_include
                                  VERSION_VAR LibTorch_VERSION)

if(LibTorch_FOUND AND NOT TARGET torch::cpu)
  add_library(torch::headers INTERFACE IMPORTED)
  target_include_directories(torch::headers SYSTEM INTERFACE "${torch_include}")
  add_library(torch::cpu INTERFACE IMPORTED)
  target_link_libraries(torch::cpu INTERFACE torch::headers
    "-Wl,--no-as-needed" "${CLOZE_TORCH_DIR}/lib/libtorch_cpu.so" "${CLOZE_TORCH_DIR}/lib/libc10.so"
    "-Wl,--as-needed" "-Wl,--allow-shlib-undefined")
endif()
