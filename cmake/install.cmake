# `cmake --install` and `cpack -G DEB`. The program finds all files relative to itself, so that the installed
# tree may be moved; src/version.h has the relative paths (RESR_DATA_FOLDER, RESR_OBJECT_FOLDER).
set(data ${CMAKE_INSTALL_DATADIR}/realesrgan-mpi)

install(TARGETS realesrgan-mpi RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET realesrgan-cuda)
  install(TARGETS realesrgan-cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/realesrgan-mpi)
endif()

install(PROGRAMS models/fetch.sh DESTINATION ${data}/models)
install(FILES models/wheel.sh models/SHA256SUMS models/README.md DESTINATION ${data}/models)
install(PROGRAMS jobs/run-until-done jobs/upscale.sbatch jobs/array.sbatch jobs/bench.sbatch DESTINATION ${data}/jobs)
install(FILES jobs/slurm.sh jobs/README.md DESTINATION ${data}/jobs)

set(pages ${CMAKE_BINARY_DIR}/tools/docs)
install(FILES ${pages}/realesrgan-mpi.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${pages}/realesrgan-mpi.bash RENAME realesrgan-mpi
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${pages}/realesrgan-mpi.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
# Debian's zsh does not search /usr/share/zsh/site-functions.
install(CODE "
  set(folder site-functions)
  if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\" AND EXISTS /etc/debian_version)
    set(folder vendor-completions)
  endif()
  file(INSTALL \"${pages}/_realesrgan-mpi\" TYPE FILE
    DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/zsh/\${folder}\")")

file(GLOB guides CONFIGURE_DEPENDS docs/*.md)
install(FILES README.md CHANGELOG.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE RENAME copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${guides} DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_NAME realesrgan-mpi)
set(CPACK_PACKAGE_VENDOR "the realesrgan-mpi authors")
set(CPACK_PACKAGE_CONTACT "the realesrgan-mpi authors <realesrgan-mpi@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "upscales videos and images with Real-ESRGAN networks, on MPI ranks")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_CURRENT_SOURCE_DIR}/LICENSE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION video)
set(CPACK_DEBIAN_PACKAGE_DEPENDS openmpi-bin)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, curl, python3-venv") # fetch.sh
find_program(dpkg_shlibdeps dpkg-shlibdeps)
if(dpkg_shlibdeps)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
include(CPack)
