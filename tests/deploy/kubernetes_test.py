#!/usr/bin/env python3
"""deploy/kubernetes: what must hold of the manifests, whatever is changed."""
import glob
import os
import unittest

from deployment import DEPLOY, KLAXON, SOURCE, DeployTest, main, read, run

try:
    import yaml
except ImportError:
    yaml = None

FOLDER = os.path.join(DEPLOY, "kubernetes")


@unittest.skipUnless(yaml, "python3-yaml is not installed")
class Manifests(DeployTest):
    def setUp(self):
        self.files = {os.path.basename(path): yaml.safe_load(read(path))
                      for path in glob.glob(os.path.join(FOLDER, "*.yaml"))}
        self.pod = self.files["daemonset.yaml"]["spec"]["template"]
        self.spec = self.pod["spec"]
        (self.container,) = self.spec["containers"]
        self.config = self.files["configmap.yaml"]["data"]["klaxon.yaml"]

    def test_all_are_applied(self):
        listed = self.files["kustomization.yaml"]["resources"]
        self.assertEqual(sorted(listed + ["kustomization.yaml"]),
                         sorted(self.files))

    def test_they_are_of_one_namespace(self):
        for name, manifest in self.files.items():
            if name in ("namespace.yaml", "kustomization.yaml"):
                continue
            self.assertEqual(manifest["metadata"]["namespace"], "klaxon", name)
        self.assertEqual(self.files["namespace.yaml"]["metadata"]["name"],
                         "klaxon")

    def test_pod_security_is_said(self):
        labels = self.files["namespace.yaml"]["metadata"]["labels"]
        for mode in ("enforce", "audit", "warn"):
            self.assertIn("pod-security.kubernetes.io/" + mode, labels)

    def test_it_has_no_token(self):
        account = self.files["serviceaccount.yaml"]
        self.assertIs(account["automountServiceAccountToken"], False)
        self.assertIs(self.spec["automountServiceAccountToken"], False)
        self.assertEqual(self.spec["serviceAccountName"],
                         account["metadata"]["name"])

    def test_it_may_read_and_no_more(self):
        rights = self.container["securityContext"]
        self.assertEqual(rights["capabilities"],
                         {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]})
        self.assertIs(rights["readOnlyRootFilesystem"], True)
        self.assertIs(rights["allowPrivilegeEscalation"], False)
        self.assertIs(rights["privileged"], False)
        self.assertEqual(self.spec["securityContext"]["seccompProfile"],
                         {"type": "RuntimeDefault"})
        for shared in ("hostNetwork", "hostPID", "hostIPC"):
            self.assertFalse(self.spec.get(shared))

    def test_only_the_state_is_writable(self):
        mounts = {m["mountPath"]: m for m in self.container["volumeMounts"]}
        self.assertEqual([path for path, mount in mounts.items()
                          if not mount.get("readOnly")], ["/var/lib/klaxon"])
        volumes = {v["name"]: v for v in self.spec["volumes"]}
        for path in ("/var/log/kubernetes", "/var/lib/klaxon"):
            volume = volumes[mounts[path]["name"]]
            self.assertEqual(volume["hostPath"]["path"], path)

    def test_it_runs_on_the_control_plane(self):
        role = "node-role.kubernetes.io/control-plane"
        self.assertEqual(self.spec["nodeSelector"][role], "")
        self.assertIn({"key": role, "operator": "Exists",
                       "effect": "NoSchedule"}, self.spec["tolerations"])

    def test_one_pod_a_state_directory(self):
        rolling = self.files["daemonset.yaml"]["spec"]["updateStrategy"]
        self.assertEqual(rolling["rollingUpdate"]["maxSurge"], 0)

    def test_probes_and_scrapes_meet_the_listener(self):
        listen = yaml.safe_load(self.config)["http"]["listen"]
        address, port = listen.rsplit(":", 1)
        self.assertEqual(address, "0.0.0.0")
        (named,) = self.container["ports"]
        self.assertEqual(str(named["containerPort"]), port)
        notes = self.pod["metadata"]["annotations"]
        self.assertEqual(notes["prometheus.io/port"], port)
        code = read(SOURCE, "app", "daemon_endpoint.cc")
        self.assertIn('"%s"' % notes["prometheus.io/path"], code)
        for probe, path in (("startupProbe", "/healthz"),
                            ("livenessProbe", "/healthz"),
                            ("readinessProbe", "/readyz")):
            self.assertEqual(self.container[probe]["httpGet"],
                             {"path": path, "port": named["name"]})
            self.assertIn('"%s"' % path, code)

    def test_memory_is_limited(self):
        self.assertIn("memory", self.container["resources"]["limits"])
        self.assertIn("memory", self.container["resources"]["requests"])

    def test_the_configuration_is_valid_and_stays_in_its_mounts(self):
        path = os.path.join(self.folder(), "klaxon.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config)
        self.assertTrue(run(KLAXON, "check", "-c", path).endswith(": ok\n"))
        config = yaml.safe_load(self.config)
        self.assertTrue(config["state"]["dir"].startswith("/var/lib/klaxon/"))
        for source in config["sources"]:
            for log in source["file"]["path"]:
                self.assertTrue(log.startswith("/var/log/kubernetes/"))

    def test_the_arguments_are_klaxons(self):
        arguments = self.container["args"]
        self.assertEqual(arguments[0], "run")
        usage = run(KLAXON, "run", "--help")
        for argument in arguments[1:]:
            self.assertIn(argument.split("=")[0], usage)


class Containerfile(DeployTest):
    def setUp(self):
        self.lines = [line for line in
                      read(DEPLOY, "Containerfile").splitlines()
                      if line and not line.startswith("#")]

    def last(self, instruction):
        found = [line for line in self.lines
                 if line.startswith(instruction + " ")]
        return found[-1][len(instruction) + 1:]

    def test_it_is_nobody_who_runs(self):
        user, group = self.last("USER").split(":")
        self.assertTrue(user.isdigit() and int(user) > 0)
        self.assertTrue(group.isdigit() and int(group) > 0)

    def test_it_is_made_of_the_package(self):
        self.assertIn("klaxon_*.deb", self.last("COPY"))
        self.assertEqual(self.last("HEALTHCHECK"), "NONE")
        self.assertEqual(self.last("ENTRYPOINT"), '["/usr/bin/klaxon"]')


if __name__ == "__main__":
    main()
