# tests/worker/test_*.c: the decoders called directly, and the worker programs through a session.
set(test_picture_link weft_worker_picture)
set(test_clip_link weft_worker_clip)
set(test_session_link weft_media)

# The stand-in for a decoder that was taken over: the sandbox and loop of the real programs around hostile deeds.
add_executable(misbehave ${CMAKE_CURRENT_SOURCE_DIR}/worker/misbehave.c)
target_link_libraries(misbehave PRIVATE weft_worker)
set_target_properties(misbehave PROPERTIES OUTPUT_NAME weft-media RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/misbehave)

file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/worker/test_*.c)
foreach(source ${sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE ${${name}_link})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_compile_definitions(${name} PRIVATE WEFT_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/golden")
  add_dependencies(${name} ${WEFT_WORKERS} misbehave)
  add_test(NAME worker/${name} COMMAND ${name})
  set_tests_properties(worker/${name} PROPERTIES ENVIRONMENT "WEFT_MEDIA=${CMAKE_BINARY_DIR};WEFT_MISBEHAVE=${CMAKE_BINARY_DIR}/misbehave")
endforeach()
