# SPDX-License-Identifier: BSD-3-Clause
# farpage_flags: what every target of ours is compiled with.
add_library(farpage_flags INTERFACE)
target_compile_definitions(farpage_flags INTERFACE _GNU_SOURCE
  FARPAGE_VERSION="${PROJECT_VERSION}")
target_include_directories(farpage_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(farpage_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes
  -Wmissing-prototypes -Wswitch-enum -Wvla -Wformat=2 -fno-strict-aliasing
  -Wno-missing-field-initializers # what a row leaves out is 0, and often there is nothing to say
  $<$<BOOL:${FARPAGE_WERROR}>:-Werror>)
if(FARPAGE_DEBUG_HOOKS)
  target_compile_definitions(farpage_flags INTERFACE FARPAGE_DEBUG_HOOKS=1)
else()
  target_compile_definitions(farpage_flags INTERFACE FARPAGE_DEBUG_HOOKS=0)
endif()
if(FARPAGE_SANITIZE)
  target_compile_options(farpage_flags INTERFACE -fsanitize=${FARPAGE_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(farpage_flags INTERFACE -fsanitize=${FARPAGE_SANITIZE})
else()
  # Hardening is for what is shipped; the sanitizers bring their own.
  target_compile_options(farpage_flags INTERFACE -fstack-protector-strong
    $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
  target_link_options(farpage_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(FARPAGE_FUZZ)
  target_compile_options(farpage_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
