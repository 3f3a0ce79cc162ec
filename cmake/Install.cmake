# cmake --install build/release --prefix DIR, and a TGZ package of the same (cpack). The folder can
# be moved: the program finds LibTorch, which is copied beside it, by its own place. What stays a
# prerequisite are the system's libraries: Open MPI, protobuf and the small ones (scripts/setup).
include(GNUInstallDirs)
set(CLOZE_LIBRARIES "${CMAKE_INSTALL_LIBDIR}/cloze")

set_target_properties(cloze PROPERTIES INSTALL_RPATH "$ORIGIN/../${CLOZE_LIBRARIES}")
install(TARGETS cloze RUNTIME_DEPENDENCY_SET cloze_dependencies)
install(RUNTIME_DEPENDENCY_SET cloze_dependencies
  PRE_EXCLUDE_REGEXES "^linux-vdso" "^ld-linux"
  # libtorch_cpu itself, and what of the CUDA runtime it names even where there is no GPU.
  POST_INCLUDE_REGEXES "/libtorch_cpu\\.so" "/libc10\\.so" "/libgomp\\.so" "/libcudart\\.so" "/libcupti\\.so"
  POST_EXCLUDE_REGEXES ".*"
  DIRECTORIES "${CLOZE_TORCH_DIR}/lib"
  LIBRARY DESTINATION "${CLOZE_LIBRARIES}")
if(CLOZE_GPU_LIBRARY)
  # Where it was built: who builds the program alone installs the program alone.
  install(FILES "${CLOZE_GPU_LIBRARY}" DESTINATION "${CLOZE_LIBRARIES}" OPTIONAL)
endif()
install(DIRECTORY configs/ DESTINATION "${CMAKE_INSTALL_DATADIR}/cloze/configs"
  FILES_MATCHING PATTERN "*.yaml" PATTERN "*.json" PATTERN "*.proto")
install(DIRECTORY docs/ DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(FILES LICENSE README.md CHANGELOG.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(PROGRAMS scripts/mpirun DESTINATION "${CMAKE_INSTALL_DATADIR}/cloze")

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Pretrains GLM models on MPI ranks")
set(CPACK_STRIP_FILES ON)
include(CPack)
