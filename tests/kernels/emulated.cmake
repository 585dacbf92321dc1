# The choice of a level where AMX is there and fails its check.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  add_executable(test_dispatch_broken_amx ${CMAKE_CURRENT_LIST_DIR}/test_dispatch.c ${CMAKE_SOURCE_DIR}/src/kernels/dispatch.c)
  target_compile_definitions(test_dispatch_broken_amx PRIVATE WEFT_ASSUME_BROKEN_AMX)
  target_include_directories(test_dispatch_broken_amx PRIVATE ${CMAKE_CURRENT_LIST_DIR}/..)
  target_link_libraries(test_dispatch_broken_amx PRIVATE weft_kernels)
  add_test(NAME kernels/test_dispatch_broken_amx COMMAND test_dispatch_broken_amx)
endif()

# The AVX-VNNI kernels on any x86 CPU with AVX2: their two instructions spelled out in emulated/avxvnni.h, linked with
# the same tests. Proves the logic, not the instructions. Under the sanitizers too.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  file(GLOB avxvnni_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/x86/avxvnni*.c)
  add_library(weft_avxvnni_emulated OBJECT ${avxvnni_sources})
  target_include_directories(weft_avxvnni_emulated PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_compile_options(weft_avxvnni_emulated PRIVATE -mavx2 -mfma -mf16c -mbmi2 -O1
                         -include ${CMAKE_CURRENT_LIST_DIR}/emulated/avxvnni.h)
  if(WEFT_SANITIZE)
    target_compile_options(weft_avxvnni_emulated PRIVATE -fno-sanitize=undefined)
  endif()
  foreach(test attention packed)
    add_executable(test_${test}_avxvnni ${CMAKE_CURRENT_LIST_DIR}/test_${test}.c ${CMAKE_SOURCE_DIR}/src/kernels/dispatch.c
                   $<TARGET_OBJECTS:weft_avxvnni_emulated>)
    target_compile_definitions(test_${test}_avxvnni PRIVATE WEFT_ASSUME_AVXVNNI
                               WEFT_TEST_DATA="${CMAKE_CURRENT_LIST_DIR}/../golden")
    target_include_directories(test_${test}_avxvnni PRIVATE ${CMAKE_CURRENT_LIST_DIR}/..)
    target_link_libraries(test_${test}_avxvnni PRIVATE weft_kernels)
    add_test(NAME kernels/test_${test}_avxvnni COMMAND test_${test}_avxvnni)
  endforeach()
endif()

# Level amx on a CPU with AVX-512 VNNI but without tiles: these alone are spelled out, on plain memory, and the rest runs
# as it is. Under the sanitizers too. Elsewhere the tests say that they could not run the level.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  file(GLOB amx_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/x86/avx512amx*.c)
  add_library(weft_tiles_emulated OBJECT ${amx_sources})
  target_include_directories(weft_tiles_emulated PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_compile_definitions(weft_tiles_emulated PRIVATE WEFT_EMULATE_TILES)
  target_compile_options(weft_tiles_emulated PRIVATE -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mbmi2
                         -O2)
  if(WEFT_SANITIZE)
    target_compile_options(weft_tiles_emulated PRIVATE -fno-sanitize=undefined)
  endif()
  foreach(test attention matmul packed)
    add_executable(test_${test}_tiles ${CMAKE_CURRENT_LIST_DIR}/test_${test}.c ${CMAKE_SOURCE_DIR}/src/kernels/dispatch.c
                   $<TARGET_OBJECTS:weft_tiles_emulated>)
    target_compile_definitions(test_${test}_tiles PRIVATE WEFT_ASSUME_TILES WEFT_TESTS_ONLY_LEVEL="amx"
                               WEFT_TEST_DATA="${CMAKE_CURRENT_LIST_DIR}/../golden")
    target_include_directories(test_${test}_tiles PRIVATE ${CMAKE_CURRENT_LIST_DIR}/..)
    target_link_libraries(test_${test}_tiles PRIVATE weft_kernels)
    add_test(NAME kernels/test_${test}_tiles COMMAND test_${test}_tiles)
  endforeach()
endif()

# The AVX-512 kernels on any x86 CPU: their sources compiled with intrinsics that SIMDe (libsimde-dev, optional) and
# emulated/immintrin.h spell out in AVX2 and plain C, linked with the same tests. Proves the logic, not the instructions.
# Not under the sanitizers: compiling takes minutes, and the templates are checked there at AVX2's width.
if(WEFT_SANITIZE)
  return()
endif()
find_path(WEFT_SIMDE_INCLUDE simde/x86/avx512.h)
if(NOT WEFT_SIMDE_INCLUDE OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" OR NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
  return()
endif()
file(GLOB avx512_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/x86/avx512*.c)
add_library(weft_avx512_emulated OBJECT ${avx512_sources})
target_include_directories(weft_avx512_emulated BEFORE PRIVATE ${CMAKE_CURRENT_LIST_DIR}/emulated)
target_include_directories(weft_avx512_emulated PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include ${WEFT_SIMDE_INCLUDE})
target_compile_definitions(weft_avx512_emulated PRIVATE WEFT_EMULATE_TILES)
target_compile_options(weft_avx512_emulated PRIVATE -mavx2 -mfma -mf16c -mbmi2 -O1 -w)
# Unrolled by hand: with every intrinsic inlined too it compiles for minutes.
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/x86/avx512vnni_packed.c ${CMAKE_SOURCE_DIR}/src/kernels/x86/avx512vnni_runs.c
                            PROPERTIES COMPILE_DEFINITIONS SIMDE_NO_INLINE)
foreach(test types elementwise matmul attention packed)
  add_executable(test_${test}_emulated ${CMAKE_CURRENT_LIST_DIR}/test_${test}.c ${CMAKE_SOURCE_DIR}/src/kernels/dispatch.c
                 $<TARGET_OBJECTS:weft_avx512_emulated>)
  target_compile_definitions(test_${test}_emulated PRIVATE WEFT_ASSUME_AVX512
                             WEFT_TEST_DATA="${CMAKE_CURRENT_LIST_DIR}/../golden")
  target_include_directories(test_${test}_emulated PRIVATE ${CMAKE_CURRENT_LIST_DIR}/..)
  target_link_libraries(test_${test}_emulated PRIVATE weft_kernels)
  add_test(NAME kernels/test_${test}_emulated COMMAND test_${test}_emulated)
endforeach()
