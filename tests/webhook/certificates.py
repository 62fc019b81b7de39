"""An authority, and certificates of it, made with the openssl program."""
import os
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Authority:
    def __init__(self, folder, name):
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                f"/CN={name}", "-keyout", self.path("ca.key"), "-out",
                self.path("ca.crt"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, name, usage="clientAuth", days=30):
        """NAME.crt and NAME.key; fewer than 0 days: it has ended."""
        with open(self.path(name + ".ext"), "w", encoding="ascii") as out:
            out.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n"
                      f"extendedKeyUsage={usage}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-subj", f"/CN={name}", "-keyout",
                self.path(name + ".key"), "-out", self.path(name + ".csr"))
        openssl("x509", "-req", "-in", self.path(name + ".csr"), "-CA",
                self.path("ca.crt"), "-CAkey", self.path("ca.key"),
                "-CAcreateserial", "-days", str(days), "-extfile",
                self.path(name + ".ext"), "-out", self.path(name + ".crt"))
        return self.path(name + ".crt"), self.path(name + ".key")
