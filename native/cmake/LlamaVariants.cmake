# Finds the llama.cpp libraries that node-llama-cpp ships and links against them in place.
#
#   PLATFORM_KEY           node-llama-cpp's name of this machine, such as linux-x64 or mac-arm64
#   NODE_LLAMA_CPP_DIR     the installed node-llama-cpp package
#   LLAMA_CPP_SOURCE_DIR   headers of the same release, unpacked from the bundle the package carries
#
#   find_llama_variants(OUT)                   sets OUT to the variants found: cpu cuda vulkan metal
#   link_llama_variant(TARGET VARIANT DIR)     links TARGET, which will lie in DIR

set(PLATFORM_KEY "linux-x64" CACHE STRING "platform and architecture of the llama.cpp libraries")
set(NODE_LLAMA_CPP_DIR "${CMAKE_CURRENT_LIST_DIR}/../../node_modules/node-llama-cpp"
    CACHE PATH "the installed node-llama-cpp package")
set(LLAMA_CPP_SOURCE_DIR "${CMAKE_CURRENT_LIST_DIR}/../../build/llama.cpp"
    CACHE PATH "llama.cpp headers of the same release")

set(LLAMA_INCLUDE_DIRS
  "${LLAMA_CPP_SOURCE_DIR}"
  "${LLAMA_CPP_SOURCE_DIR}/include"
  "${LLAMA_CPP_SOURCE_DIR}/ggml/include")

# Folders are named <platform key>[-<gpu>]; a package without a gpu in its name is the CPU's. On Apple
# silicon the only package is the Metal one.
function(find_llama_variants out)
  set(variants "")
  file(GLOB dirs "${NODE_LLAMA_CPP_DIR}/../@node-llama-cpp/${PLATFORM_KEY}*/bins/${PLATFORM_KEY}*")
  foreach(dir IN LISTS dirs)
    get_filename_component(name "${dir}" NAME)
    if(name MATCHES "^${PLATFORM_KEY}(-([a-z]+))?$")
      set(variant "${CMAKE_MATCH_2}")
      if(variant STREQUAL "")
        set(variant cpu)
      endif()
      file(GLOB libraries "${dir}/libllama.*")
      if(libraries)
        list(APPEND variants ${variant})
        set(LLAMA_DIR_${variant} "${dir}" CACHE INTERNAL "")
      endif()
    endif()
  endforeach()
  list(REMOVE_DUPLICATES variants)
  set(${out} ${variants} PARENT_SCOPE)
endfunction()

# The libraries are linked by full path. Node-llama-cpp has opened them by the time the addon loads, so
# the loader finds the very same objects by name; the relative rpath serves programs that start alone.
function(link_llama_variant target variant dir)
  set(library_dir "${LLAMA_DIR_${variant}}")
  file(GLOB libraries
    "${library_dir}/libllama.*${CMAKE_SHARED_LIBRARY_SUFFIX}"
    "${library_dir}/libllama-common${CMAKE_SHARED_LIBRARY_SUFFIX}"
    "${library_dir}/libggml.*${CMAKE_SHARED_LIBRARY_SUFFIX}"
    "${library_dir}/libggml-base${CMAKE_SHARED_LIBRARY_SUFFIX}")
  target_link_libraries(${target} PRIVATE ${libraries})
  file(RELATIVE_PATH from_target "${dir}" "${library_dir}")
  if(APPLE)
    set(origin "@loader_path")
  else()
    set(origin "$ORIGIN")
  endif()
  set_target_properties(${target} PROPERTIES
    BUILD_RPATH "${origin}/${from_target}"
    INSTALL_RPATH "${origin}/${from_target}"
    BUILD_WITH_INSTALL_RPATH ON)
endfunction()
