# What fuzz_media_calls.c is linked with: fake_kernel.c in the place of the C library's functions.
set(fuzz_media_calls_sources ${CMAKE_CURRENT_LIST_DIR}/fake_kernel.c)
set(fuzz_media_calls_link_options)
foreach(name recvmsg sendmsg poll close fcntl fstat pread memfd_create ftruncate mmap munmap weft_media_process_start)
  list(APPEND fuzz_media_calls_link_options "LINKER:--wrap=${name}")
endforeach()
