# cloze_embed(<folder> (<VARIABLE> <file>)...)
#
# Makes the folder's assets.cc of its assets.cc.in, in which @VARIABLE@ stands for the content of
# a file of the folder, and adds it to the folder's library. A changed file configures anew.
function(cloze_embed folder)
  cloze_target_name(${folder} target)
  set(files ${ARGN})
  while(files)
    list(POP_FRONT files variable name)
    set(path "${PROJECT_SOURCE_DIR}/${folder}/${name}")
    set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${path}")
    file(READ "${path}" ${variable})
  endwhile()
  set(made "${CMAKE_BINARY_DIR}/generated/${folder}/assets.cc")
  configure_file("${PROJECT_SOURCE_DIR}/${folder}/assets.cc.in" "${made}" @ONLY)
  target_sources(${target} PRIVATE "${made}")
endfunction()
