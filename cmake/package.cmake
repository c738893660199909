# SPDX-License-Identifier: BSD-3-Clause
# Debian packages: farpage, libfarpage0, libfarpage-dev.
#
#   cmake --preset package && cmake --build --preset package && cpack --preset package
#
# What an install rule names no component for belongs to farpage.
set(debian ${PROJECT_SOURCE_DIR}/conf/debian)
set(components farpage libfarpage0 libfarpage-dev)
file(STRINGS ${debian}/changelog newest LIMIT_COUNT 1)
if(NOT newest MATCHES "^farpage \\(([0-9.]+)-([0-9]+)\\) ")
  message(FATAL_ERROR "conf/debian/changelog begins with no version")
endif()
if(NOT CMAKE_MATCH_1 STREQUAL PROJECT_VERSION)
  message(FATAL_ERROR "conf/debian/changelog is of ${CMAKE_MATCH_1}, not of ${PROJECT_VERSION}")
endif()
set(CPACK_DEBIAN_PACKAGE_RELEASE ${CMAKE_MATCH_2})

find_program(GZIP gzip)
if(FARPAGE_DEBIAN AND NOT GZIP)
  message(FATAL_ERROR "Debian packages need gzip")
endif()
if(FARPAGE_DEBIAN)
  foreach(component ${components})
    set(documents ${CMAKE_INSTALL_DATAROOTDIR}/doc/${component})
    install(FILES ${debian}/copyright DESTINATION ${documents} COMPONENT ${component})
    install(FILES ${debian}/changelog DESTINATION ${documents} COMPONENT ${component}
      RENAME changelog.Debian)
    install(FILES CHANGELOG.md DESTINATION ${documents} COMPONENT ${component} RENAME changelog)
    # After all else: Debian's manuals and changelogs are compressed, and -n keeps no time.
    install(CODE "file(GLOB plain
        \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/man/man*/*.[1-9]\"
        \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${documents}/changelog\"
        \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${documents}/changelog.Debian\")
      if(plain)
        execute_process(COMMAND ${GZIP} -9nf \${plain} COMMAND_ERROR_IS_FATAL ANY)
      endif()" COMPONENT ${component})
  endforeach()
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL ${components})
set(CPACK_PACKAGE_CONTACT "the farpage developers <maintainers@farpage.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_FARPAGE_PACKAGE_NAME farpage)
set(CPACK_DEBIAN_FARPAGE_PACKAGE_SECTION net)
set(CPACK_DEBIAN_FARPAGE_PACKAGE_DEPENDS
  "init-system-helpers (>= 1.54), procps, systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_FARPAGE_PACKAGE_SUGGESTS "nbd-client, mdadm, libfarpage-dev")
set(CPACK_DEBIAN_LIBFARPAGE0_PACKAGE_NAME libfarpage0)
set(CPACK_DEBIAN_LIBFARPAGE0_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBFARPAGE-DEV_PACKAGE_NAME libfarpage-dev)
set(CPACK_DEBIAN_LIBFARPAGE-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBFARPAGE-DEV_PACKAGE_DEPENDS
  "libfarpage0 (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
set(CPACK_DEBIAN_LIBFARPAGE-DEV_PACKAGE_SUGGESTS "libisal-dev, liblz4-dev, libssl-dev, libzstd-dev")

set(about "farpaged keeps other machines' memory pages, and memcached items, compressed
in its memory, and gives them back byte for byte or says that it cannot.
")
set(CPACK_DEBIAN_FARPAGE_DESCRIPTION "compressed remote memory: pages and memcached items
${about}
This package has the server, which speaks memcached's text protocol, a page
protocol of its own and that of network block devices, and the farpage command.")
set(CPACK_DEBIAN_LIBFARPAGE0_DESCRIPTION "compressed remote memory - client library
${about}
This package has the library with which programs store and load their pages.")
set(CPACK_DEBIAN_LIBFARPAGE-DEV_DESCRIPTION "compressed remote memory - headers for its library
${about}
This package has what programs are built with that store and load their pages.")
foreach(component ${components})
  string(TOUPPER ${component} upper)
  set(extra)
  foreach(script postinst prerm postrm conffiles shlibs triggers)
    if(EXISTS ${debian}/${component}.${script})
      configure_file(${debian}/${component}.${script}
        ${CMAKE_BINARY_DIR}/debian/${component}/${script} COPYONLY)
      list(APPEND extra ${CMAKE_BINARY_DIR}/debian/${component}/${script})
    endif()
  endforeach()
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA ${extra})
endforeach()
include(CPack)
