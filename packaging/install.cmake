# What `cmake --install` and the Debian package hold. The program carries its resources (resources/) in itself; man
# pages and completions are written by the program just built, so that they say what it does.
include(GNUInstallDirs)

set(reference ${CMAKE_BINARY_DIR}/reference)
configure_file(packaging/changelog.in ${CMAKE_BINARY_DIR}/changelog @ONLY)  # in the form that Debian asks of packages
add_custom_command(OUTPUT ${reference}/reference.md COMMAND longspan reference all ${reference}
  COMMAND sh -c "gzip -9nf ${reference}/man1/*.1"
  COMMAND sh -c "gzip -9nc ${CMAKE_BINARY_DIR}/changelog >${reference}/changelog.gz" DEPENDS longspan VERBATIM
  COMMENT "Writing man pages and completions")
add_custom_target(reference ALL DEPENDS ${reference}/reference.md)

install(TARGETS longspan)
install(DIRECTORY ${reference}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${reference}/longspan.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME longspan)
# zsh looks for what a distribution's packages bring in another folder than for what an administrator installs.
install(CODE "
  if(CMAKE_INSTALL_PREFIX MATCHES \"/usr$\")
    set(folder vendor-completions)
  else()
    set(folder site-functions)
  endif()
  file(INSTALL \"${reference}/_longspan\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/share/zsh/\${folder}\")")
install(FILES ${reference}/longspan.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(DIRECTORY recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/longspan)
install(FILES README.md CHANGELOG.md DESIGN.md THIRD-PARTY.md LICENSE packaging/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${reference}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY bench/results DESTINATION ${CMAKE_INSTALL_DOCDIR}/bench)  # README and docs link there
install(FILES packaging/serve/nginx.conf packaging/serve/kubernetes.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR}/serve)
install(FILES packaging/longspan.service DESTINATION lib/systemd/system)
file(GLOB_RECURSE notices RELATIVE ${CMAKE_SOURCE_DIR}/resources resources/*LICENSE*)
foreach(notice IN LISTS notices)
  string(REPLACE "/" "-" name ${notice})
  install(FILES resources/${notice} DESTINATION ${CMAKE_INSTALL_DOCDIR}/notices RENAME ${name})
endforeach()

set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # a package needs no tests
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME longspan)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "longspan developers <longspan@localhost>" CACHE STRING "maintainer of the package")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "long context for open language models on your own machine")
set(CPACK_PACKAGE_DESCRIPTION
"Answers questions about long documents (PDF, EPUB, DOCX, HTML, text in any
encoding) with open language models in GGUF or Hugging Face's format,
stretches their context windows by 23 published methods, measures what that
is worth with published suites, and trains the longer window.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# gnuplot draws the pictures of reports, poppler-data decodes PDFs in Chinese, Japanese and Korean, pip fetches.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "gnuplot-nox | gnuplot, poppler-data, python3-pip")
include(CPack)
