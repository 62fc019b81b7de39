# What is installed, and the Debian package of it: `cpack` in the build folder,
# for the Debian that it was built on. docs/DEPLOY.md.
include(GNUInstallDirs)
set(DEPLOY ${CMAKE_SOURCE_DIR}/deploy)

install(TARGETS klaxon RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Below the prefix, whatever the libraries' folder is called: systemd's rule.
install(FILES ${DEPLOY}/klaxon.service DESTINATION lib/systemd/system)
install(FILES ${DEPLOY}/klaxon.yaml DESTINATION /etc/klaxon)
file(GLOB DOCUMENTS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/*.md)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${DOCUMENTS}
  ${DEPLOY}/debian/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/klaxon)
install(DIRECTORY ${DEPLOY}/grafana ${DEPLOY}/prometheus ${DEPLOY}/kubernetes
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/klaxon/examples)

# To build Klaxon takes no Python; a sanitizer's binary is not packaged.
find_package(Python3 3.9 COMPONENTS Interpreter)
if(NOT Python3_Interpreter_FOUND OR KLAXON_SANITIZE)
  return()
endif()

set(KLAXON_MAINTAINER "Klaxon maintainers <klaxon@example.org>" CACHE STRING
  "Whom the package names")

# Man page and completions are made of what the binary itself says.
set(PAGES ${CMAKE_BINARY_DIR}/pages)
set(KLAXON_PACKAGE_VERSION ${PROJECT_VERSION})
if(KLAXON_FAILPOINTS)
  string(APPEND KLAXON_PACKAGE_VERSION "~failpoints")  # Older than a release.
endif()
configure_file(${DEPLOY}/debian/changelog.in ${PAGES}/changelog.Debian)
add_custom_command(
  OUTPUT ${PAGES}/klaxon.1.gz ${PAGES}/klaxon.bash ${PAGES}/klaxon.zsh
         ${PAGES}/klaxon.fish ${PAGES}/changelog.gz
         ${PAGES}/changelog.Debian.gz
  COMMAND ${Python3_EXECUTABLE} -B ${DEPLOY}/help_pages.py
          $<TARGET_FILE:klaxon> ${DEPLOY}/man/klaxon.1.in ${PAGES}
  COMMAND gzip -9nkf ${PAGES}/klaxon.1
  COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_SOURCE_DIR}/CHANGELOG.md
          ${PAGES}/changelog
  COMMAND gzip -9nf ${PAGES}/changelog
  COMMAND gzip -9nkf ${PAGES}/changelog.Debian
  DEPENDS klaxon ${DEPLOY}/help_pages.py ${DEPLOY}/man/klaxon.1.in
          ${CMAKE_SOURCE_DIR}/CHANGELOG.md
  VERBATIM)
add_custom_target(pages ALL DEPENDS ${PAGES}/klaxon.1.gz)

install(FILES ${PAGES}/klaxon.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PAGES}/klaxon.bash RENAME klaxon
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${PAGES}/klaxon.zsh RENAME _klaxon
  DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${PAGES}/klaxon.fish
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${PAGES}/changelog.gz ${PAGES}/changelog.Debian.gz
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/klaxon)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME klaxon)
set(CPACK_PACKAGE_VERSION ${KLAXON_PACKAGE_VERSION})
set(CPACK_PACKAGE_CONTACT ${KLAXON_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE
  OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "init-system-helpers (>= 1.52)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
  "finds broken authentication in Kubernetes audit logs
Klaxon reads the audit log of kube-apiserver, archived or live, and reports
what looks like broken authentication: guessed credentials, anonymous access,
stolen tokens and certificates. No alert is lost or repeated over rotations,
crashes and restarts.

The package has the daemon, as a hardened systemd service, and the same
program for the command line.")
file(WRITE ${CMAKE_BINARY_DIR}/debian/conffiles "/etc/klaxon/klaxon.yaml\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${DEPLOY}/debian/postinst
  ${DEPLOY}/debian/prerm ${DEPLOY}/debian/postrm
  ${CMAKE_BINARY_DIR}/debian/conffiles)
include(CPack)
