# Libraries, by calls that work on Debian 12 and 13 alike (versions: 12's are
# the minimum). No version is asked of packages whose config files accept only
# their own (Abseil, simdjson) or that have none.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(LibArchive 3.6 REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(absl CONFIG REQUIRED)      # >= 20220623.1
find_package(fmt 9 CONFIG REQUIRED)
find_package(spdlog 1.10 CONFIG REQUIRED)
find_package(simdjson CONFIG REQUIRED)  # >= 3.0.1
find_package(yaml-cpp CONFIG REQUIRED)  # >= 0.7.0
find_package(CLI11 2.1 CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)  # >= 1.0.1
find_package(Boost 1.81 CONFIG REQUIRED)      # Asio and Beast, headers only
pkg_check_modules(rdkafka REQUIRED IMPORTED_TARGET rdkafka>=2.0.2)
pkg_check_modules(isal REQUIRED IMPORTED_TARGET libisal>=2.30)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd>=1.5.4)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash>=0.8.1)
if(NOT TARGET yaml-cpp::yaml-cpp) # yaml-cpp 0.7
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()
if(KLAXON_TESTS)
  find_package(GTest 1.12 CONFIG REQUIRED)
endif()

# Abseil is linked statically: it is 27 libraries, which the loader would have
# to find, map and bind at every start (3 ms of CPU), and its interface changes
# with each version anyway.
get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target IN LISTS imported)
  if(NOT target MATCHES "^absl::")
    continue()
  endif()
  get_target_property(configurations ${target} IMPORTED_CONFIGURATIONS)
  if(NOT configurations)
    continue()
  endif()
  foreach(configuration IN LISTS configurations)
    set(property IMPORTED_LOCATION_${configuration})
    get_target_property(location ${target} ${property})
    string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive "${location}")
    if(EXISTS "${archive}")
      set_target_properties(${target} PROPERTIES ${property} "${archive}"
                            IMPORTED_SONAME_${configuration} "")
    endif()
  endforeach()
endforeach()
