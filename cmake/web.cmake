# Packs the page into the program: web/'s own files and the npm packages that web/vendor-map.json names.
#
# npm fetches the packages once, by the lock file, into the build folder; a generated C file then includes every file's
# bytes. -DWEFT_PAGE=OFF builds a server without the page and needs no npm.
option(WEFT_PAGE "Build the web page into the program (needs npm)" ON)

if(WEFT_PAGE)
  find_program(NPM npm)
  if(NOT NPM)
    message(FATAL_ERROR "npm is missing: install the package 'npm' (Debian: apt-get install nodejs npm), "
                        "or build without the web page: cmake -DWEFT_PAGE=OFF")
  endif()
  set(WEB_SOURCE ${CMAKE_SOURCE_DIR}/web)
  set(WEB_PACKAGES ${CMAKE_BINARY_DIR}/web)
  file(GLOB web_files CONFIGURE_DEPENDS ${WEB_SOURCE}/*.html ${WEB_SOURCE}/*.svg ${WEB_SOURCE}/*.js
       ${WEB_SOURCE}/i18n/*.js ${WEB_SOURCE}/styles/*.css)

  add_custom_command(
    OUTPUT ${WEB_PACKAGES}/packages.stamp
    COMMAND ${CMAKE_COMMAND} -E make_directory ${WEB_PACKAGES}
    COMMAND ${CMAKE_COMMAND} -E copy ${WEB_SOURCE}/package.json ${WEB_SOURCE}/package-lock.json ${WEB_PACKAGES}
    COMMAND ${CMAKE_COMMAND} -E chdir ${WEB_PACKAGES} ${NPM} ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
    COMMAND ${CMAKE_COMMAND} -E touch ${WEB_PACKAGES}/packages.stamp
    DEPENDS ${WEB_SOURCE}/package.json ${WEB_SOURCE}/package-lock.json
    COMMENT "Fetching the page's packages"
    VERBATIM)

  add_custom_command(
    OUTPUT ${WEB_PACKAGES}/page_resources.c
    COMMAND ${CMAKE_COMMAND} -DWEB_SOURCE=${WEB_SOURCE} -DWEB_PACKAGES=${WEB_PACKAGES}
            -DOUTPUT=${WEB_PACKAGES}/page_resources.c -P ${CMAKE_SOURCE_DIR}/cmake/pack_page.cmake
    DEPENDS ${WEB_PACKAGES}/packages.stamp ${web_files} ${WEB_SOURCE}/vendor-map.json ${WEB_SOURCE}/csp.txt
            ${CMAKE_SOURCE_DIR}/cmake/pack_page.cmake
    COMMENT "Packing the page"
    VERBATIM)
  target_sources(weft_server PRIVATE ${WEB_PACKAGES}/page_resources.c)
else()
  file(WRITE ${CMAKE_BINARY_DIR}/web/page_resources.c
    "#include \"server/page.h\"\nconst weft_page_resource weft_page_resources[] = {{0}};\n"
    "const unsigned weft_page_resource_count = 0;\nconst char weft_page_csp[] = \"default-src 'none'\";\n")
  target_sources(weft_server PRIVATE ${CMAKE_BINARY_DIR}/web/page_resources.c)
endif()
