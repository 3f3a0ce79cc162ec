# cloze_embed(<folder> <template> (<VARIABLE> <file>)...)
#
# Makes a source of the template NAME.cc.in, in which @VARIABLE@ stands for the content of a file,
# and adds it to the folder's library as NAME.cc. Paths begin at the root. A changed file configures
# anew.
function(cloze_embed folder template)
  cloze_target_name(${folder} target)
  set(files ${ARGN})
  while(files)
    list(POP_FRONT files variable name)
    set(path "${PROJECT_SOURCE_DIR}/${name}")
    set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${path}")
    file(READ "${path}" ${variable})
  endwhile()
  cmake_path(GET template STEM LAST_ONLY source)
  set(made "${CMAKE_BINARY_DIR}/generated/${folder}/${source}")
  configure_file("${PROJECT_SOURCE_DIR}/${template}" "${made}" @ONLY)
  target_sources(${target} PRIVATE "${made}")
endfunction()
