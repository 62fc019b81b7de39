#!/usr/bin/env bash
# A real Apache Kafka (one broker, KRaft, no container) for the tests.
#
#   broker.sh up RUN_DIR       starts one; an earlier one of RUN_DIR is ended.
#                              The address is then in RUN_DIR/bootstrap
#   broker.sh kill RUN_DIR     SIGKILL, as a crash
#   broker.sh pause RUN_DIR    SIGSTOP, a broker that hangs;  resume: SIGCONT
#   broker.sh start RUN_DIR    same data, same port; returns when it is ready
#   broker.sh down RUN_DIR     ends it and removes RUN_DIR
#   broker.sh fetch            only fetches the jars
#
# Exit status: 0; 1 broken; 77 something is missing here, and what to install
# (KLAXON_REQUIRE_KAFKA=1 makes that a 1). Jars (44 MB) come from Maven's
# repository once and stay in $KLAXON_KAFKA_CACHE (~/.cache/klaxon-kafka).
# A broker ends by itself after KLAXON_KAFKA_TTL seconds (3600), so that a test
# run that was killed leaves nothing for ever.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cache=${KLAXON_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/klaxon-kafka}

say() { printf 'kafka: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
skip() {
  [[ ${KLAXON_REQUIRE_KAFKA:-0} != 1 ]] || die "required (KLAXON_REQUIRE_KAFKA=1), but $*"
  printf 'SKIPPED: %s\n' "$*" >&2
  exit 77
}

find_java() {
  if [[ -n ${JAVA_HOME:-} && -x $JAVA_HOME/bin/java ]]; then
    java=$JAVA_HOME/bin/java
  else
    java=$(command -v java) || skip 'no Java: apt-get install default-jre-headless maven'
  fi
  local major
  major=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  ((${major:-0} >= 17)) || skip "Java $major found, Kafka 4 needs 17: apt-get install default-jre-headless"
}

fetch_jars() {
  lib=$cache/$(cksum <"$here/pom.xml" | cut -d' ' -f1)
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  if [[ ! -e $lib/complete ]]; then
    command -v mvn >/dev/null || skip 'no Maven: apt-get install maven'
    say "fetching Apache Kafka (about 44 MB, once) into $lib"
    rm -rf "$lib"
    mvn -q -B -f "$here/pom.xml" process-resources -Dout="$lib" 1>&2 ||
      skip 'Maven cannot reach its repository: connect, or set a mirror in ~/.m2/settings.xml'
    touch "$lib/complete"
  fi
  exec 9>&-
}

# Ours only if its command line names our properties: a pid may have been given
# to somebody else since.
alive() {
  [[ -s $run/pid ]] && tr '\0' ' ' 2>/dev/null <"/proc/$(<"$run/pid")/cmdline" |
    grep -qF " $run/server.properties"
}

end_broker() {
  if alive; then
    local pid tries
    pid=$(<"$run/pid")
    kill -s KILL "$pid" 2>/dev/null || true
    # What was killed may stay for as long as a disk takes, not for a minute.
    for ((tries = 0; tries < 3000; ++tries)); do
      alive || break
      sleep 0.02
    done
    if alive; then
      say "process $pid cannot be killed"
      return 1
    fi
  fi
  rm -f "$run/pid"
}

# Two ports that the system calls free, both held at once so that they differ.
free_ports() {
  perl -MIO::Socket::INET -e '
    my @s = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1",
                                        LocalPort => 0) or die } 1 .. 2;
    print join(" ", map { $_->sockport } @s), "\n";'
}

# Where production waits, tests do not: retention looks every second.
write_properties() { # PORT CONTROLLER_PORT
  cat >"$run/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$2
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$2
advertised.listeners=PLAINTEXT://127.0.0.1:$1
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$run/data
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.initial.task.delay.ms=1000
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=1000
log.cleaner.enable=false
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
controller.quorum.election.timeout.ms=400
controller.quorum.fetch.timeout.ms=1500
controlled.shutdown.enable=false
PROPERTIES
  cat >"$run/log4j2.properties" <<'PROPERTIES'
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
logger.raft.name=kafka.server.KafkaRaftServer
logger.raft.level=INFO
PROPERTIES
}

jvm() { # CLASS ARGS...: from the folder of jars
  "$java" -Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    -Dlog4j2.configurationFile="$run/log4j2.properties" -cp "$lib/*" "$@"
}

# Detached from our terminal and pipes: ctest waits for who holds its pipe.
start_broker() {
  : >"$run/broker.log"
  export -f jvm
  export java run lib
  setsid bash -c 'exec "$java" -Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Xshare:auto -XX:+ExitOnOutOfMemoryError \
    -Dlog4j2.configurationFile="$run/log4j2.properties" -cp "$lib/*" kafka.Kafka \
    "$run/server.properties"' >>"$run/broker.log" 2>&1 </dev/null &
  echo $! >"$run/pid"
}

# 0: ready. 1: its process has ended. 2: too slow.
await_broker() {
  local end=$((SECONDS + 120))
  until grep -q 'Kafka Server started' "$run/broker.log"; do
    kill -0 "$(<"$run/pid")" 2>/dev/null || return 1
    ((SECONDS < end)) || return 2
    sleep 0.05
  done
}

start_watchdog() {
  setsid bash -c 'sleep "$1"; exec "$2" down "$3"' watchdog \
    "${KLAXON_KAFKA_TTL:-3600}" "$here/broker.sh" "$run" >/dev/null 2>&1 </dev/null &
  echo $! >"$run/watchdog"
}

end_watchdog() {
  local pid
  pid=$(cat "$run/watchdog" 2>/dev/null) || return 0
  # Not when it is the watchdog that calls us, nor if the pid is not its own.
  if [[ $pid != "$$" ]] &&
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "watchdog"; then
    kill -s TERM -- "-$pid" 2>/dev/null || true
  fi
}

up() {
  if [[ -d $run ]]; then
    if [[ -e $run/server.properties ]]; then
      down
    elif [[ -n $(ls -A "$run") ]]; then
      die "neither empty nor a run folder of ours: $run"
    fi
  fi
  find_java
  fetch_jars
  mkdir -p "$run"
  local attempt ports
  for attempt in 1 2 3 4 5; do
    read -ra ports < <(free_ports)
    rm -rf "$run/data"
    write_properties "${ports[@]}"
    jvm kafka.tools.StorageTool format -t KlaxonTestsKafkaClus00 \
      -c "$run/server.properties" >"$run/format.log" 2>&1 || die "format failed: $run/format.log"
    echo "$lib" >"$run/lib"
    start_broker
    if await_broker; then
      start_watchdog
      echo "127.0.0.1:${ports[0]}" >"$run/bootstrap"
      return 0
    fi
    end_broker
    # Somebody may have taken the port between our look and Kafka's bind.
    grep -q 'Address already in use' "$run/broker.log" || break
  done
  tail -n 20 "$run/broker.log" >&2
  die "the broker did not start: $run/broker.log"
}

down() {
  [[ -e $run/server.properties ]] || return 0
  end_broker
  end_watchdog
  rm -rf "$run"
}

action=${1-} run=${2-}
if [[ $action == fetch ]]; then
  find_java
  fetch_jars
  exit 0
fi
[[ -n $run ]] || { sed -n '2,17s/^# \{0,1\}//p' "$0" >&2; exit 2; }
run=$(realpath -m -- "$run")
[[ $run != *[!A-Za-z0-9/._+-]* ]] || die "characters that Kafka's properties cannot hold: $run"
case $action in
  up) up ;;
  down) down ;;
  kill) end_broker ;;
  pause) alive && kill -s STOP "$(<"$run/pid")" ;;
  resume) alive && kill -s CONT "$(<"$run/pid")" ;;
  start)
    ! alive || die "already running: $run"
    find_java
    lib=$(<"$run/lib")
    start_broker
    await_broker || { tail -n 20 "$run/broker.log" >&2; die 'the broker did not come back'; }
    ;;
  *) die "unknown action $action" ;;
esac
