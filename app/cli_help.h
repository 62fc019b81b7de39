// What --help prints besides the flags: the commands, examples, exit codes.
#pragma once

#include <string_view>

namespace klaxon {

inline constexpr std::string_view kShortHelp =
    "klaxon: finds broken authentication in Kubernetes audit logs\n"
    "\n"
    "  klaxon scan PATH...       judge archived logs; alerts on stdout\n"
    "  klaxon observe PATH...    the first half of a scan: observations\n"
    "  klaxon judge [FILE...]    the second half: observations to alerts\n"
    "  klaxon tail [FILE...]     follow live logs through rotation\n"
    "  klaxon kafka              consume Kafka topics\n"
    "  klaxon serve              receive kube-apiserver's audit webhook\n"
    "  klaxon run -c FILE        the daemon: all sources and sinks configured\n"
    "  klaxon state show DIR     what a daemon's state directory holds\n"
    "  klaxon detectors [NAME]   what is detected, and each one's options\n"
    "  klaxon check -c FILE      validate a configuration\n"
    "  klaxon config             every key of the configuration\n"
    "\n"
    "Examples:\n"
    "  klaxon scan /var/log/kubernetes\n"
    "  klaxon scan audit.log audit-*.log.gz --min-severity medium\n"
    "\n"
    "klaxon COMMAND --help says more; klaxon --version.\n";

inline constexpr const char* kScanExamples =
    "Examples:\n"
    "  klaxon scan /var/log/kubernetes\n"
    "  klaxon scan audit.log audit-*.log.gz --min-severity medium\n"
    "  zcat audit.gz | klaxon scan - --output ndjson | jq .title\n"
    "  klaxon scan logs/ --since 2026-01-02 --until 2026-01-03\n"
    "  klaxon scan logs/ --fail-on high --quarantine unreadable.ndjson\n"
    "  klaxon scan logs/ --set detectors.unauthorized-burst.threshold=20\n"
    "\n"
    "Exit: 0 ran; 1 an input or sink failed; 2 usage or configuration error;\n"
    "3 an alert at or above --fail-on.\n";
inline constexpr const char* kObserveExamples =
    "Examples:\n"
    "  klaxon observe monday/ > monday.ndjson\n"
    "  klaxon observe monday/ tuesday/ | klaxon judge\n";
inline constexpr const char* kJudgeExamples =
    "Examples:\n"
    "  klaxon observe logs/ | klaxon judge\n"
    "  klaxon judge monday.ndjson tuesday.ndjson --fail-on high\n";
inline constexpr const char* kTailExamples =
    "Examples:\n"
    "  klaxon tail\n"
    "  klaxon tail /var/log/kubernetes/audit.log --state-dir /var/lib/klaxon\n"
    "  klaxon tail audit.log --from 2026-01-02T03:00:00Z --until-end\n"
    "\n"
    "Without FILE: the first readable of the usual paths (kubeadm, k3s, RKE2,\n"
    "OpenShift, Talos, microk8s). SIGINT and SIGTERM end it in order, a "
    "second\n"
    "one at once; SIGHUP reads the configuration again.\n";
inline constexpr const char* kKafkaExamples =
    "Examples:\n"
    "  klaxon kafka --brokers k1:9092 --topic k8s-audit "
    "--state-dir /var/lib/klaxon\n"
    "  klaxon kafka --brokers k1:9092 --topic '^audit-' --from end\n"
    "\n"
    "TLS and SASL come from the `config` of a `kafka` source of the\n"
    "configuration (klaxon run -c FILE).\n";
inline constexpr const char* kServeExamples =
    "Examples:\n"
    "  klaxon serve --listen 127.0.0.1:9443 --state-dir /var/lib/klaxon\n"
    "  klaxon serve --print-apiserver-config\n"
    "\n"
    "TLS, client certificates and a token come from a `webhook` source of the\n"
    "configuration (klaxon run -c FILE).\n";
inline constexpr const char* kRunExamples =
    "Examples:\n"
    "  klaxon run -c /etc/klaxon/klaxon.yaml\n"
    "  klaxon run -c klaxon.yaml --until-end\n";
inline constexpr const char* kStateExamples =
    "Examples:\n"
    "  klaxon state show /var/lib/klaxon\n"
    "  klaxon state verify /var/lib/klaxon\n";
inline constexpr const char* kDetectorsExamples =
    "Examples:\n"
    "  klaxon detectors\n"
    "  klaxon detectors unauthorized-burst\n";
inline constexpr const char* kCheckExamples =
    "Examples:\n"
    "  klaxon check -c klaxon.yaml\n"
    "  klaxon check -c klaxon.yaml --set detectors.old-certificate.warn=60d\n";
inline constexpr const char* kConfigExamples =
    "Examples:\n"
    "  klaxon config > klaxon.yaml\n"
    "  klaxon config | less\n";

}  // namespace klaxon
