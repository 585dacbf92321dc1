# The layer rule: a folder of src/ includes only its own files and those of the folders below it.
#
#   base < kernels < weights, text, media < vision, decoder < engine < weft.h < server, cli, agent
#   base < net < engine; base < store < video < server, cli; weft.h < video
#
# worker is beside all of it: programs of their own that see base and media, and that nobody includes.
#
# Siblings (weights, text, media; vision, decoder; server, agent) do not include each other. The faces see weft.h and base only;
# cli may start the server. Run as: cmake -DSOURCE=<repository> -P check_layers.cmake
cmake_minimum_required(VERSION 3.20)

set(below_base "")
set(below_kernels base)
set(below_weights base kernels)
set(below_text base)
set(below_media base)
set(below_worker base media)
set(below_vision base kernels weights media)
set(below_decoder base kernels weights text)
set(below_net base)
set(below_engine base net kernels weights text media vision decoder)
set(below_store base)
set(below_video base store)
set(below_server base store video)
set(below_agent base)
set(below_cli base store video server agent)
set(layers base net kernels weights text media worker vision decoder engine store video server agent cli)
set(public_readers engine video server agent cli) # who may include weft.h

set(faults "")
set(checked 0)
foreach(layer ${layers})
  file(GLOB_RECURSE files ${SOURCE}/src/${layer}/*.c ${SOURCE}/src/${layer}/*.h)
  foreach(file ${files})
    file(RELATIVE_PATH name ${SOURCE} ${file})
    file(STRINGS ${file} includes REGEX "^[ \t]*#[ \t]*include[ \t]*\"")
    foreach(line IN LISTS includes)
      string(REGEX REPLACE "^[^\"]*\"([^\"]*)\".*" "\\1" path "${line}")
      math(EXPR checked "${checked} + 1")
      if(path STREQUAL "weft_status.h")
        continue() # the vocabulary of errors, shared by all
      elseif(path STREQUAL "weft.h")
        if(NOT layer IN_LIST public_readers)
          list(APPEND faults "${name} includes weft.h: only the engine, video and the faces may")
        endif()
      elseif(path MATCHES "^([a-z]+)/")
        set(target ${CMAKE_MATCH_1})
        if(NOT target STREQUAL layer AND NOT target IN_LIST below_${layer})
          list(APPEND faults "${name} includes ${path}: ${layer} is not above ${target}")
        elseif(NOT EXISTS ${SOURCE}/src/${path})
          list(APPEND faults "${name} includes ${path}, which does not exist")
        endif()
      else()
        list(APPEND faults "${name} includes \"${path}\": write the path from src/, as \"${layer}/${path}\"")
      endif()
    endforeach()
  endforeach()
endforeach()

if(checked EQUAL 0)
  message(FATAL_ERROR "no includes found under ${SOURCE}/src: the check looked at nothing")
endif()
if(faults)
  list(JOIN faults "\n  " text)
  message(FATAL_ERROR "the layer rule is broken:\n  ${text}")
endif()
message(STATUS "layers: ${checked} includes checked")
