"""An authority, and certificates of it, made with the openssl program."""
import os
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


# Until 3.3 there was no other way to an end in the past; 3.4 refuses it.
VERSION = subprocess.run(["openssl", "version"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout.split()[1]
NEGATIVE_DAYS = tuple(int(n) for n in VERSION.split(".")[:2]) < (3, 4)


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

    def issue(self, name, usage="clientAuth", ended=False):
        """NAME.crt and NAME.key; `ended`: a day ago."""
        with open(self.path(name + ".ext"), "w", encoding="ascii") as out:
            out.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n"
                      f"extendedKeyUsage={usage}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-subj", f"/CN={name}", "-keyout",
                self.path(name + ".key"), "-out", self.path(name + ".csr"))
        sign = ("x509", "-req", "-in", self.path(name + ".csr"), "-CA",
                self.path("ca.crt"), "-CAkey", self.path("ca.key"),
                "-CAcreateserial", "-extfile", self.path(name + ".ext"), "-out",
                self.path(name + ".crt"))
        if not ended:
            openssl(*sign, "-days", "30")
        elif NEGATIVE_DAYS:
            openssl(*sign, "-days", "-1")
        else:
            openssl(*sign, "-not_before", "20250101000000Z",
                    "-not_after", "20250102000000Z")
        return self.path(name + ".crt"), self.path(name + ".key")
