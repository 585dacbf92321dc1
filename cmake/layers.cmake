# One static library per layer, lowest first; each links only layers below it, so a wrong call fails at link time and a
# wrong include fails in tests/layers.
function(weft_layer name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c)
  if(NOT sources)
    add_library(weft_${name} INTERFACE)
    target_link_libraries(weft_${name} INTERFACE ${ARG_LINK})
    return()
  endif()
  add_library(weft_${name} STATIC ${sources})
  target_include_directories(weft_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(weft_${name} PUBLIC ${ARG_LINK})
endfunction()

weft_layer(base LINK Threads::Threads m)
weft_layer(kernels LINK weft_base)
weft_layer(weights LINK weft_kernels PkgConfig::JANSSON)
weft_layer(text LINK weft_base PkgConfig::JANSSON PkgConfig::UTF8PROC PkgConfig::PCRE2)
weft_layer(media LINK weft_base)
weft_layer(vision LINK weft_media weft_weights)
weft_layer(decoder LINK weft_weights weft_text)
weft_layer(net LINK weft_base PkgConfig::CURL)
weft_layer(engine LINK weft_vision weft_decoder weft_net)
weft_layer(store LINK weft_base PkgConfig::SQLITE PkgConfig::GNUTLS)
weft_layer(video LINK weft_engine weft_store)
weft_layer(server LINK weft_video PkgConfig::MICROHTTPD PkgConfig::PNG)
weft_layer(cli LINK weft_server)

# Packing is byte loops in plain C that only vectorise at this level.
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/packed.c PROPERTIES COMPILE_OPTIONS "$<IF:$<BOOL:${WEFT_SANITIZE}>,-O1,-O3>")

# x86 kernel variants are compiled for their own level and chosen at run time; each file is named after its level.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i.86")
  file(GLOB avx2_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/x86/avx2*.c)
  file(GLOB avx512_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/x86/avx512*.c)
  set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;-mbmi2;-O3")
  # The packed kernels are unrolled by hand: more of it only costs minutes, and under the undefined-behaviour checks,
  # which look at every load, a quarter of an hour.
  set(avx2_packed ${CMAKE_SOURCE_DIR}/src/kernels/x86/avx2_packed.c)
  set_source_files_properties(${avx2_packed} PROPERTIES COMPILE_OPTIONS
    "-mavx2;-mfma;-mf16c;-mbmi2;$<IF:$<BOOL:${WEFT_SANITIZE}>,-O1;-fno-sanitize=undefined,-O2>")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/x86/avxvnni_attention.c PROPERTIES COMPILE_OPTIONS
    "-mavxvnni;-mavx2;-mfma;-mf16c;-mbmi2;-O3")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/x86/avxvnni_packed.c PROPERTIES COMPILE_OPTIONS
    "-mavxvnni;-mavx2;-mfma;-mf16c;-mbmi2;$<IF:$<BOOL:${WEFT_SANITIZE}>,-O1;-fno-sanitize=undefined,-O2>")
  set_source_files_properties(${avx512_sources} PROPERTIES COMPILE_OPTIONS
    "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx2;-mfma;-mf16c;-mbmi2;-O3;-mprefer-vector-width=512")
  file(GLOB vnni_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/x86/avx512vnni*.c)
  set_source_files_properties(${vnni_sources} PROPERTIES COMPILE_OPTIONS
    "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mavx2;-mfma;-mf16c;-mbmi2;-O3;-mprefer-vector-width=512")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/x86/avx512vnni_packed.c ${CMAKE_SOURCE_DIR}/src/kernels/x86/avx512vnni_runs.c PROPERTIES COMPILE_OPTIONS
    "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mavx2;-mfma;-mf16c;-mbmi2;$<IF:$<BOOL:${WEFT_SANITIZE}>,-O1;-fno-sanitize=undefined,-O2>")
  file(GLOB amx_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/x86/avx512amx*.c)
  set_source_files_properties(${amx_sources} PROPERTIES COMPILE_OPTIONS
    "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx2;-mfma;-mf16c;-mbmi2;-mprefer-vector-width=512;-mamx-tile;-mamx-bf16;-mamx-int8;$<IF:$<BOOL:${WEFT_SANITIZE}>,-O1;-fno-sanitize=undefined,-O3>")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  file(GLOB neon_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/arm/neon*.c)
  set_source_files_properties(${neon_sources} PROPERTIES COMPILE_OPTIONS "-O3")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/arm/dotprod_packed.c PROPERTIES COMPILE_OPTIONS
    "-march=armv8.2-a+dotprod;$<IF:$<BOOL:${WEFT_SANITIZE}>,-O1;-fno-sanitize=undefined,-O2>")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/arm/i8mm_packed.c PROPERTIES COMPILE_OPTIONS
    "-march=armv8.2-a+dotprod+i8mm;$<IF:$<BOOL:${WEFT_SANITIZE}>,-O1;-fno-sanitize=undefined,-O2>")
endif()

include(cmake/workers.cmake)

file(GLOB main_source CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/main.c)
if(main_source)
  add_executable(weft ${main_source})
  target_link_libraries(weft PRIVATE weft_cli)
  add_dependencies(weft ${WEFT_WORKERS})
  install(TARGETS weft DESTINATION bin)
  install(TARGETS ${WEFT_WORKERS} DESTINATION libexec/weft)
endif()
