# SPDX-License-Identifier: BSD-3-Clause
"""certificates - an authority and whom it vouches for, made by openssl for one test."""
import os
import ssl
import subprocess

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Authority:
    def __init__(self, directory, name="authority"):
        self.directory, self.name = directory, name
        self.pem, self.key = self.path(name + ".pem"), self.path(name + ".key")
        openssl("req", "-x509", *CURVE, "-keyout", self.key, "-out", self.pem,
                "-subj", f"/CN={name}", "-days", "2")

    def path(self, name):
        return os.path.join(self.directory, name)

    def issue(self, name, days=2, host="127.0.0.1", new=None):
        """A certificate and its key, as two paths; new: what key."""
        pem, key, request = (self.path(name + end) for end in (".pem", ".key", ".csr"))
        openssl("req", *(new or CURVE), "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        names = self.path(name + ".names")
        with open(names, "w") as f:
            f.write(f"subjectAltName=IP:{host},DNS:localhost\n")
        openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key,
                "-CAcreateserial", "-days", str(days), "-extfile", names, "-out", pem)
        return pem, key


def believing(authority, identity=None, most=None):
    """What a client speaks TLS with."""
    context = ssl.create_default_context(cafile=authority.pem)
    if identity:
        context.load_cert_chain(*identity)
    if most:
        context.maximum_version = most
    return context
