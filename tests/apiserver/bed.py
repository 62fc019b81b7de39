"""A real kube-apiserver (Kubernetes 1.35) for tests, with an etcd of its own.

Opt-in, by KLAXON_APISERVER=1: Go builds both from source, which takes some six
minutes on two cores and 3 GB of its cache, once. The binary is kept in
KLAXON_KUBE_BUILD (~/.cache/klaxon-kube). Everything listens on loopback alone.
"""
import ctypes
import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "the-tests-own"  # Of a user in group system:masters.
POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""
WEBHOOK = """apiVersion: v1
kind: Config
clusters: [{name: audit, cluster: {server: "%s"}}]
contexts: [{name: audit, context: {cluster: audit, user: ""}}]
current-context: audit
"""
READY_SECONDS = 180


def why_not():
    """None: it can be had; else what is missing."""
    if not os.environ.get("KLAXON_APISERVER"):
        return "opt-in: KLAXON_APISERVER=1 builds and starts a kube-apiserver"
    for program in ("go", "openssl"):
        if not shutil.which(program):
            return program + " is not installed"
    return None


def build():
    """The path of `kube`, built where it is not there yet."""
    digest = hashlib.sha256()
    for name in ("main.go", "go.mod", "go.sum"):
        with open(os.path.join(HERE, name), "rb") as source:
            digest.update(source.read())
    folder = os.environ.get("KLAXON_KUBE_BUILD") or os.path.expanduser(
        "~/.cache/klaxon-kube")
    path = os.path.join(folder, "kube-" + digest.hexdigest()[:16])
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(
            ["go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w",
             "-o", path + ".new", "."], cwd=HERE, check=True,
            env=dict(os.environ, CGO_ENABLED="0"))
        os.rename(path + ".new", path)
    return path


def free_ports(count):
    """Ports that the system calls free, held at once so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def die_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class KubeApiserver:
    """Its log is `log`; start() returns when it is ready."""

    def __init__(self, folder, *flags, webhook=""):
        self.folder, self.flags, self.webhook = folder, flags, webhook
        self.kube = build()
        self.log = os.path.join(folder, "audit", "audit.log")
        self.processes = []
        self.port = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        return self.path(name)

    def start(self):
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        self.write("tokens.csv", TOKEN + ',admin,admin,"system:masters"\n')
        subprocess.run(["openssl", "genrsa", "-out", self.path("account.key"),
                        "2048"], check=True, stderr=subprocess.DEVNULL)
        # A port may be taken between being asked for and being used.
        for attempt in range(3):
            client, peer, self.port = free_ports(3)
            self.start_etcd(client, peer)
            self.start_apiserver(client)
            if self.await_ready():
                return
            self.stop()
        raise RuntimeError("kube-apiserver does not become ready; see " +
                           self.path("kube-apiserver.log"))

    def spawn(self, name, *arguments):
        out = open(self.path(name + ".log"), "ab")
        with out:
            self.processes.append(subprocess.Popen(
                [self.kube, name, *arguments], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, preexec_fn=die_with_parent))

    def start_etcd(self, client, peer):
        clients = f"http://127.0.0.1:{client}"
        peers = f"http://127.0.0.1:{peer}"
        shutil.rmtree(self.path("etcd"), ignore_errors=True)
        self.spawn("etcd", "--data-dir", self.path("etcd"), "--unsafe-no-fsync",
                   "--log-level", "error", "--listen-client-urls", clients,
                   "--advertise-client-urls", clients, "--listen-peer-urls",
                   peers, "--initial-advertise-peer-urls", peers,
                   "--initial-cluster", "default=" + peers)

    def start_apiserver(self, etcd):
        flags = [
            "--etcd-servers", f"http://127.0.0.1:{etcd}",
            "--bind-address", "127.0.0.1", "--secure-port", str(self.port),
            "--advertise-address", "127.0.0.1",
            "--endpoint-reconciler-type", "none",
            "--cert-dir", self.path("certificates"),
            "--token-auth-file", self.path("tokens.csv"),
            "--authorization-mode", "RBAC", "--allow-privileged",
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", self.path("account.key"),
            "--service-account-signing-key-file", self.path("account.key"),
            "--service-cluster-ip-range", "10.96.0.0/16",
            "--audit-policy-file", self.write("policy.yaml", POLICY),
            "--audit-log-path", self.log]
        if self.webhook:
            flags += ["--audit-webhook-config-file",
                      self.write("webhook.yaml", WEBHOOK % self.webhook)]
        self.spawn("kube-apiserver", *flags, *self.flags)

    def await_ready(self):
        """False: one of them has ended."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/readyz",
            headers={"Authorization": "Bearer " + TOKEN})
        context = ssl._create_unverified_context()
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if any(process.poll() is not None for process in self.processes):
                return False
            try:
                with urllib.request.urlopen(request, timeout=10,
                                            context=context):
                    return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        return False

    def kubectl(self, *arguments, check=True):
        return subprocess.run(
            [self.kube, "kubectl", "--server", f"https://127.0.0.1:{self.port}",
             "--insecure-skip-tls-verify", "--token", TOKEN, *arguments],
            check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=120)

    def stop(self):
        """The apiserver first: it sends what it still has."""
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
