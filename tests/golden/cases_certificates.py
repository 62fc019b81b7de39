"""old-certificate: age, superseded, expiring."""

from audit_log import Certificate

POD = "list /api/v1/pods"
CSR = ("update /apis/certificates.k8s.io/v1/certificatesigningrequests/{}/"
       "status | 200 allow")
CONTROLLER = "account kube-system/certificate-controller"


def used(at, label, user="dana", client="10.0.0.9"):
    return f"{at} | {client} | {user} | {POD} | 200 allow | certificate={label}"


AGE = [
    dict(name="certificate-age",
         story="By an inventory: 30, 90 and 365 days to the microsecond.",
         certificates={"a": Certificate("ann", -30, 335),
                       "b": Certificate("bob", -90, 275),
                       "c": Certificate("cat", -365, 365),
                       "d": Certificate("dan", -800, 365),
                       "e": Certificate("eve", -30, 335)},
         inventory="abcde",
         events=f"""
0s | 10.0.0.9 | ann | {POD} | 200 allow | certificate=a
0s | 10.0.0.9 | bob | {POD} | 200 allow | certificate=b
0s | 10.0.0.9 | cat | {POD} | 200 allow | certificate=c
0s | 203.0.113.7 | dan | {POD} | 403 forbid | certificate=d
""",
         verdict="""
low old-certificate/age user=ann credential_id=a x1 0s..0s explain.age_days:30 confidence:high "explain.evidence:notBefore in the inventory"
medium old-certificate/age user=bob credential_id=b x1 0s..0s explain.age_days:90
high old-certificate/age user=cat credential_id=c x1 0s..0s explain.age_days:365
high old-certificate/age user=dan credential_id=d x1 0s..0s explain.age_days:800
"""),
    dict(name="certificate-age-csr",
         story="The log itself saw the certificate issued, 31 days before.",
         certificates={"d": Certificate("dana", 0, 365, "devs")},
         events=f"""
0s | 127.0.0.1 | {CONTROLLER} | {CSR.format("dana")} | issues=d
{used("29d", "d")}
{used("31d", "d")}
""",
         verdict='low old-certificate/age user=dana credential_id=d x1 31d..31d '
                 'explain.age_days:31 confidence:high "explain.evidence:'
                 'notBefore of the certificate issued by a CSR"'),
    dict(name="certificate-age-csr-late",
         story="The log tells of the certificate between two uses of one "
               "minute: what came before that was not known to be old.",
         certificates={"d": Certificate("dana", -90, 275, "devs"),
                       "e": Certificate("erin", -90, 275, "devs")},
         events=f"""
10s | 127.0.0.1 | {CONTROLLER} | {CSR.format("dana")} | issues=d
10s | 127.0.0.1 | {CONTROLLER} | {CSR.format("erin")} | issues=e
{used("0s", "d")}
{used("20s", "d")}
{used("2m", "d")}
{used("0s", "e", "erin")}
""",
         verdict="medium old-certificate/age user=dana credential_id=d x2 "
                 "20s..2m explain.age_days:90"),
    dict(name="certificate-age-first-seen",
         story="Nothing is known but the first time it was seen: in use for at "
               "least 30 days, and once a day from then on.",
         events=f"""
{used("0s", "d")}
{used("29d", "d")}
{used("30d", "d")}
{used("30d1h", "d")}
{used("31d", "d")}
""",
         verdict="""
low old-certificate/age user=dana credential_id=d x2 30d..30d1h resolved confidence:medium "explain.evidence:first time seen" "title:at least 30 days"
low old-certificate/age user=dana credential_id=d x1 31d..31d "title:at least 31 days"
"""),
    dict(name="certificate-age-crossing",
         story="It becomes 30 days old between two requests of one minute.",
         certificates={"d": Certificate("dana", -30 + 30 / 86400, 335)},
         inventory="d",
         events=f"""
{used("29s", "d")}
{used("30s", "d")}
""",
         verdict="low old-certificate/age user=dana credential_id=d x1 30s..30s"),
    dict(name="certificate-age-heuristic",
         story="Before 1.32 no fingerprint is logged: system:masters, and the "
               "names that the operator gives, with low confidence.",
         config="detectors:\n  old-certificate: {usernames: [backup]}\n",
         events=f"""
 0s | 10.0.0.9 | kubernetes-admin | {POD} | 200 allow | groups=system:masters,system:authenticated
 0s | 10.0.0.9 | backup | {POD} | 200 allow
 0s | 10.0.0.9 | oidc:erin | {POD} | 200 allow
90d | 10.0.0.9 | kubernetes-admin | {POD} | 200 allow | groups=system:masters,system:authenticated
90d | 10.0.0.9 | backup | {POD} | 200 allow
90d | 10.0.0.9 | oidc:erin | {POD} | 200 allow
""",
         verdict="""
medium old-certificate/age user=kubernetes-admin credential_id= x1 90d..90d confidence:low
medium old-certificate/age user=backup credential_id= x1 90d..90d confidence:low
"""),
    dict(name="certificate-age-control-plane-remote",
         story="A control-plane identity that comes over the network is judged "
               "by age.",
         certificates={"s": Certificate("system:kube-scheduler", -100, 265)},
         inventory="s",
         events=used("0s", "s", "system:kube-scheduler", "10.0.0.9"),
         verdict="medium old-certificate/age user=system:kube-scheduler "
                 "credential_id=s x1 0s..0s"),
    dict(name="certificate-age-admin-on-loopback",
         story="system:admin is no part of the control plane, wherever it "
               "works.",
         certificates={"a": Certificate("system:admin", -100, 265,
                                        "system:masters")},
         inventory="a",
         events=f"0s | 127.0.0.1 | system:admin | {POD} | 200 allow | "
                "certificate=a; groups=system:masters,system:authenticated",
         verdict="medium old-certificate/age user=system:admin "
                 "credential_id=a x1 0s..0s"),
    dict(name="certificate-age-options",
         story="The operator wants certificates of a week.",
         certificates={"d": Certificate("dana", -8, 357)},
         config="detectors:\n  old-certificate: {warn: 7d, inventory: "
                "[inventory.pem]}\n",
         inventory="d",
         events=used("0s", "d"),
         verdict="low old-certificate/age user=dana credential_id=d x1 0s..0s "
                 "explain.warn:7d"),
    dict(name="innocent-certificate-csr-dry-run",
         story="A certificate in a CSR's status that was only tried "
               "(dryRun=All), or refused, is not issued: nothing is known of "
               "its age.",
         certificates={"d": Certificate("dana", -90, 275, "devs"),
                       "e": Certificate("erin", -90, 275, "devs")},
         events=f"""
0s | 127.0.0.1 | {CONTROLLER} | {CSR.format("dana").replace("status", "status?dryRun=All")} | issues=d
0s | 127.0.0.1 | {CONTROLLER} | {CSR.format("erin").replace("200 allow", "409 allow")} | issues=e
{used("2m", "d")}
{used("2m", "e", "erin")}
""",
         verdict="quiet"),
    dict(name="innocent-certificate-age",
         story="29 days; a kubelet's; the control plane's on loopback; a token "
               "in use for years.",
         certificates={"d": Certificate("dana", -29.99, 335),
                       "n": Certificate("system:node:n1", -300, 65,
                                        "system:nodes"),
                       "s": Certificate("system:kube-scheduler", -300, 65)},
         inventory="dns",
         events=f"""
{used("0s", "d")}
{used("0s", "n", "kubelet n1")}
{used("0s", "s", "system:kube-scheduler", "127.0.0.1")}
0s | 10.0.0.9 | oidc:erin | {POD} | 200 allow | credential=JTI=1
400d | 10.0.0.9 | oidc:erin | {POD} | 200 allow | credential=JTI=1
""",
         verdict="quiet"),
]

DAY = "24h"
SUPERSEDED = "high old-certificate/superseded user="

REPLACED = [
    dict(name="certificate-superseded",
         story="dana's newer certificate came more than 24 h after the older "
               "was first seen; the older is still used 24 h and a microsecond "
               "after that.",
         events=f"""
{used("0s", "old")}
{used("24h", "new")}
{used("48h", "old")}
{used("48h1us", "old", "dana", "203.0.113.7")}
""",
         verdict=f"{SUPERSEDED}dana credential_id=old x1 48h1us..48h1us "
                 "explain.superseded_by:new "
                 "explain.superseded_at:2026-01-03T03:00:00.000000Z "
                 "explain.clients:203.0.113.7"),
    dict(name="certificate-superseded-inventory",
         story="Where notBefore is known it decides, however close the two "
               "came.",
         certificates={"old": Certificate("dana", -20, 345),
                       "new": Certificate("dana", -1, 364)},
         inventory=["old", "new"],
         events=f"""
{used("0s", "new")}
{used("1h", "old")}
{used("25h", "old")}
""",
         verdict=f"{SUPERSEDED}dana credential_id=old x1 25h..25h "
                 "explain.superseded_by:new"),
    dict(name="certificate-superseded-kubelet",
         story="A kubelet's old certificate, two days after the rotation.",
         events=f"""
{used("0s", "old", "kubelet n1")}
{used("30d", "new", "kubelet n1")}
{used("32d", "old", "kubelet n1", "10.0.0.66")}
""",
         verdict=f"{SUPERSEDED}system:node:n1 credential_id=old x1 32d..32d"),
    dict(name="certificate-superseded-many",
         story="A certificate a day, of one name: the first is used again on "
               "the 26th day, and the newest is the newest.",
         events="\n".join(used(f"{day}d", f"of-day-{day}")
                          for day in range(26)) + f"""
{used("25d5s", "of-day-0", "dana", "203.0.113.7")}
{used("26d1m", "of-day-25")}
""",
         verdict=f"{SUPERSEDED}dana credential_id=of-day-0 x1 25d5s..25d5s "
                 "resolved explain.superseded_by:of-day-1"),
    dict(name="innocent-certificates-short-lived",
         story="A certificate a day, of one name, each used for its day only.",
         events="\n".join(f"{used(f'{day}d', f'of-day-{day}')}\n"
                          f"{used(f'{day}d23h', f'of-day-{day}')}"
                          for day in range(41)),
         verdict="quiet"),
    dict(name="innocent-certificate-rotation",
         story="A kubelet rotates, and uses the old one for a few hours more.",
         events=f"""
{used("0s", "old", "kubelet n1")}
{used("30d", "new", "kubelet n1")}
{used("30d8h", "old", "kubelet n1")}
{used("33d", "new", "kubelet n1")}
""",
         verdict="quiet"),
    dict(name="innocent-certificates-of-two-hosts",
         story="Two hosts have a certificate each of one name, first seen "
               "within a day, and use them for weeks.",
         events=f"""
{used("0s", "one", "admin", "10.0.0.1")}
{used("23h59m", "two", "admin", "10.0.0.2")}
{used("20d", "one", "admin", "10.0.0.1")}
{used("20d", "two", "admin", "10.0.0.2")}
""",
         verdict="quiet"),
    dict(name="innocent-certificates-control-plane",
         story="system:kube-* is never superseded: one certificate per host.",
         events=f"""
{used("0s", "one", "system:kube-scheduler", "127.0.0.1")}
{used("5d", "two", "system:kube-scheduler", "127.0.0.1")}
{used("20d", "one", "system:kube-scheduler", "127.0.0.1")}
""",
         verdict="quiet"),
    dict(name="innocent-certificate-end-of-watch",
         story="The old certificate's long watch ends days after the new one "
               "came: its end is no use.",
         events=f"""
{used("0s", "old")}
{used("25h", "new")}
3d | 10.0.0.9 | dana | watch /api/v1/pods?watch=true | 200 allow | certificate=old; received=0s; stage=ResponseComplete
""",
         verdict="quiet"),
]

EXPIRING = [
    dict(name="certificate-expiring",
         story="notAfter is known and less than 30 days away; exactly 30 are "
               "enough.",
         certificates={"d": Certificate("dana", -1, 29.99),
                       "e": Certificate("erin", -1, 30)},
         inventory="de",
         events=f"""
{used("0s", "d")}
{used("0s", "e", "erin")}
""",
         verdict="info old-certificate/expiring user=dana credential_id=d x1 "
                 "0s..0s explain.days_left:29"),
    dict(name="innocent-certificate-expiring",
         story="A kubelet's certificate that is about to be rotated.",
         certificates={"n": Certificate("system:node:n1", -1, 20,
                                        "system:nodes")},
         inventory="n",
         events=used("0s", "n", "kubelet n1"),
         verdict="quiet"),
]

CASES = AGE + REPLACED + EXPIRING
