# End to end: the binary as its users see it. Python's standard library only.
find_package(Python3 3.9 COMPONENTS Interpreter REQUIRED)

# tests/cli/NAME_test.py: exit codes, messages, streams.
file(GLOB CLI_TESTS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cli/*_test.py)
foreach(TEST_FILE ${CLI_TESTS})
  cmake_path(GET TEST_FILE STEM NAME)
  string(REGEX REPLACE "_test$" "" NAME ${NAME})
  add_test(NAME cli.${NAME} COMMAND ${Python3_EXECUTABLE} ${TEST_FILE})
  set_tests_properties(cli.${NAME} PROPERTIES
    TIMEOUT 600 SKIP_RETURN_CODE 77
    ENVIRONMENT "KLAXON_BINARY=$<TARGET_FILE:klaxon>;KLAXON_SOURCE_DIR=${CMAKE_SOURCE_DIR};PYTHONDONTWRITEBYTECODE=1")
endforeach()

# tests/golden/NAME: a log, perhaps a configuration, the alerts expected of it.
# KLAXON_UPDATE_GOLDEN=1 ctest -R golden rewrites what is expected.
file(GLOB GOLDEN_CASES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/golden/*)
foreach(CASE ${GOLDEN_CASES})
  cmake_path(GET CASE FILENAME NAME)
  if(NOT IS_DIRECTORY ${CASE} OR NAME STREQUAL "__pycache__")
    continue()
  endif()
  add_test(NAME golden.${NAME} COMMAND ${Python3_EXECUTABLE}
    ${CMAKE_CURRENT_SOURCE_DIR}/cli/golden.py ${CASE})
  set_tests_properties(golden.${NAME} PROPERTIES
    TIMEOUT 120
    ENVIRONMENT "KLAXON_BINARY=$<TARGET_FILE:klaxon>;PYTHONDONTWRITEBYTECODE=1")
endforeach()
# Each golden case against the verdict worked out by hand from detections.md.
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/golden/make.py)
  add_test(NAME golden_verdicts COMMAND ${Python3_EXECUTABLE} -B
    ${CMAKE_CURRENT_SOURCE_DIR}/golden/make.py --check)
endif()

# The independent slow model against the binary (tests/model/README.md).
add_test(NAME model COMMAND ${Python3_EXECUTABLE} -B
  ${CMAKE_CURRENT_SOURCE_DIR}/model/compare.py $<TARGET_FILE:klaxon>
  --seeds 1-3 --jobs 2)
set_tests_properties(model PROPERTIES TIMEOUT 600)

# tests/deploy/NAME_test.py: what is in deploy/, and the package.
file(GLOB DEPLOY_TESTS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/deploy/*_test.py)
foreach(TEST_FILE ${DEPLOY_TESTS})
  cmake_path(GET TEST_FILE STEM NAME)
  string(REGEX REPLACE "_test$" "" NAME ${NAME})
  add_test(NAME deploy.${NAME} COMMAND ${Python3_EXECUTABLE} ${TEST_FILE})
  set_tests_properties(deploy.${NAME} PROPERTIES
    TIMEOUT 1800 SKIP_RETURN_CODE 77
    ENVIRONMENT "KLAXON_BINARY=$<TARGET_FILE:klaxon>;KLAXON_SOURCE_DIR=${CMAKE_SOURCE_DIR};KLAXON_BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endforeach()

# The daemon, killed again and again while it follows a rotating log
# (tests/kill). KLAXON_FAILPOINTS adds every failpoint to the random instants.
add_test(NAME kill COMMAND ${Python3_EXECUTABLE} -B
  ${CMAKE_CURRENT_SOURCE_DIR}/kill/kill_driver.py $<TARGET_FILE:klaxon>
  ${CMAKE_SOURCE_DIR}/samples/logs/attacked-hour.log.zst --kills 50
  --rotate-bytes 500000 --pause 0.01
  "$<$<BOOL:${KLAXON_FAILPOINTS}>:--failpoints>" COMMAND_EXPAND_LISTS)
set_tests_properties(kill PROPERTIES TIMEOUT 600 RUN_SERIAL TRUE)

# The same daemon under what else goes wrong in the field, in short forms; each
# prints its seed, and its flags give the long one.
function(klaxon_proof NAME SCRIPT)
  add_test(NAME kill.${NAME} COMMAND ${Python3_EXECUTABLE} -B
    ${CMAKE_CURRENT_SOURCE_DIR}/kill/${SCRIPT}.py ${ARGN})
  set_tests_properties(kill.${NAME} PROPERTIES TIMEOUT 300
    ENVIRONMENT "KLAXON_BINARY=$<TARGET_FILE:klaxon>;KLAXON_SOURCE_DIR=${CMAKE_SOURCE_DIR};KLAXON_FAULT_IO=$<TARGET_FILE:fault_io>;PYTHONDONTWRITEBYTECODE=1")
endfunction()
add_library(fault_io MODULE ${CMAKE_CURRENT_SOURCE_DIR}/kill/fault_io.cc)
target_link_libraries(fault_io PRIVATE ${CMAKE_DL_LIBS})
foreach(WHAT storm down compressor truncate)
  klaxon_proof(${WHAT} rotation_storm ${WHAT})
endforeach()
klaxon_proof(damaged_state damaged_state)
klaxon_proof(webhook webhook_receiver)
klaxon_proof(same_events same_events)
if(NOT KLAXON_SANITIZE)
  # A sanitizer wants to be the first library of a process itself.
  klaxon_proof(disk_faults disk_faults)
endif()

# The webhook receiver (tests/webhook): killed while apiservers send to it, and
# beside clients that it refuses. `kill_driver.py --kills 320` is the long form.
add_test(NAME webhook.kill COMMAND ${Python3_EXECUTABLE} -B
  ${CMAKE_CURRENT_SOURCE_DIR}/webhook/kill_driver.py --kills 16
  "$<$<BOOL:${KLAXON_FAILPOINTS}>:--failpoints>" COMMAND_EXPAND_LISTS)
add_test(NAME webhook.bad_clients COMMAND ${Python3_EXECUTABLE} -B
  ${CMAKE_CURRENT_SOURCE_DIR}/webhook/bad_clients_test.py)
# Opt-in: a real kube-apiserver (tests/apiserver/bed.py), whose batches are
# received and whose log is followed.
add_test(NAME webhook.apiserver COMMAND ${Python3_EXECUTABLE} -B
  ${CMAKE_CURRENT_SOURCE_DIR}/webhook/apiserver_test.py)
add_test(NAME kill.apiserver COMMAND ${Python3_EXECUTABLE} -B
  ${CMAKE_CURRENT_SOURCE_DIR}/kill/apiserver_test.py)
set_tests_properties(webhook.kill webhook.bad_clients webhook.apiserver
  kill.apiserver PROPERTIES
  TIMEOUT 1800 SKIP_RETURN_CODE 77 RUN_SERIAL TRUE
  ENVIRONMENT "KLAXON_BINARY=$<TARGET_FILE:klaxon>;KLAXON_SOURCE_DIR=${CMAKE_SOURCE_DIR};PYTHONDONTWRITEBYTECODE=1")

# A real Apache Kafka (tests/kafka/broker.sh), where there is Java and Maven.
add_executable(kafka_tool ${CMAKE_CURRENT_SOURCE_DIR}/kafka/kafka_tool.cc)
target_link_libraries(kafka_tool PRIVATE event PkgConfig::rdkafka)
add_test(NAME kafka.real COMMAND ${Python3_EXECUTABLE} -B
  ${CMAKE_CURRENT_SOURCE_DIR}/kafka/real_test.py)
set_tests_properties(kafka.real PROPERTIES
  TIMEOUT 900 SKIP_RETURN_CODE 77 LABELS kafka
  ENVIRONMENT "KLAXON_BINARY=$<TARGET_FILE:klaxon>;KLAXON_SOURCE_DIR=${CMAKE_SOURCE_DIR};KAFKA_TOOL=$<TARGET_FILE:kafka_tool>;PYTHONDONTWRITEBYTECODE=1")
