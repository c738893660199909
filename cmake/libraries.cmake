# SPDX-License-Identifier: BSD-3-Clause
# The libraries we stand on, as imported targets; docs/dependencies.md says why each.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBEVENT REQUIRED IMPORTED_TARGET libevent_core>=2.1)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.5)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4>=1.9)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp>=2.5)
find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
# Only to take sockets over; what else systemd is told needs no library (server/notify.h).
if(FARPAGE_SYSTEMD)
  pkg_check_modules(SYSTEMD IMPORTED_TARGET libsystemd>=240)
  if(NOT SYSTEMD_FOUND)
    message(STATUS "libsystemd-dev is not installed: farpaged will take no sockets over")
  endif()
endif()
