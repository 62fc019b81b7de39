"""unauthorized-burst: burst, workload, success_after_burst, low_and_slow."""

POD = "list /api/v1/pods"
BURST = "unauthorized-burst/burst client="
WORKLOAD = "low unauthorized-burst/workload client="
SUCCESS = "critical unauthorized-burst/success_after_burst client="
TEN = f"0s..9s x10 | 203.0.113.7 | nobody | {POD} | 401"
# The same by a workload: internal, one agent, one path, a steady pace.
STEADY = f"0s..9s x10 | 10.1.2.3 | nobody | {POD} | 401 | agent=shop/1.0"


def minutes(count, extra="", client="203.0.113.7", first=0):
    """One failure a minute."""
    return "\n".join(f"{first + i}m{extra} | {client} | nobody | {POD} | 401"
                     for i in range(count))


BURSTS = [
    dict(name="burst",
         story="Ten failures of one client, the first and last just 60 s apart.",
         events=f"""
0s..60s x10 | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..60s "
                 "explain.threshold:10 explain.window:60s explain.peak:10"),
    dict(name="burst-slides",
         story="The window slides: ten within 60 s, over a minute's edge and "
               "after failures too old to count.",
         events=f"""
   0s..4s x5 | 203.0.113.7 | nobody | {POD} | 401
 61s..65s x5 | 203.0.113.7 | nobody | {POD} | 401
120s..121s x5 | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}203.0.113.7 x10 61s..121s"),
    dict(name="burst-high",
         story="A hundred within 60 s are high; 99, or a hundred in a "
               "microsecond more, are medium.",
         events=f"""
0s..60s x100 | 203.0.113.7 | nobody | {POD} | 401
0s..60s x99 | 203.0.113.8 | nobody | {POD} | 401
0s..60s+1us x100 | 203.0.113.9 | nobody | {POD} | 401
""",
         verdict=f"""
high {BURST}203.0.113.7 x100 0s..60s
medium {BURST}203.0.113.8 x99 0s..60s
medium {BURST}203.0.113.9 x100 0s..60s+1us
"""),
    dict(name="burst-flood",
         story="350 failures within one minute: counted exactly, shown by a "
               "few.",
         events=f"""
0s..35s x350 | 203.0.113.7 | nobody | get /p{{i}} | 401
""",
         verdict=f"high {BURST}203.0.113.7 x350 0s..35s "
                 '"summary:100 or more within 60s"'),
    dict(name="burst-any-stage",
         story="A 401 at ResponseComplete counts as well; twice told, once "
               "counted.",
         events=f"""
0s..9s x10 | 203.0.113.7 | nobody | {POD} | 401 | stage=ResponseComplete
20s..29s x5 | 203.0.113.8 | nobody | {POD} | 401 | id=b{{i}}; received=20s
20s..29s x5 | 203.0.113.8 | nobody | {POD} | 401 | id=b{{i}}; received=20s; stage=ResponseComplete
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
    dict(name="burst-one-audit-id",
         story="Ten requests that all carry Audit-ID: Lorem are ten.",
         events=f"""
0s..9s x10 | 203.0.113.7 | nobody | {POD} | 401 | id=Lorem
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
    dict(name="burst-no-address",
         story="Without any source address the client is unknown: judged, and "
               "neither internal nor external.",
         events=f"""
0s..9s x10 | - | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}unknown x10 0s..9s"),
    dict(name="burst-claimed",
         story="Through a proxy that nobody trusts: the client is the proxy, "
               "what it forwards is a claim.",
         events=f"""
0s..9s x10 | 198.51.100.{{i}}, 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s "
                 "claimed:198.51.100.1,198.51.100.10,198.51.100.2,198.51.100.3,"
                 "198.51.100.4,198.51.100.5,198.51.100.6,198.51.100.7"),
    dict(name="burst-through-proxy",
         story="Behind a trusted proxy: of eleven failures ten are of one "
               "client.",
         config="networks: {trusted_proxies: [10.0.0.10/32]}\n",
         events=f"""
0s..9s x10 | 203.0.113.7, 10.0.0.10 | nobody | {POD} | 401
9s | 203.0.113.8, 10.0.0.10 | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
    dict(name="burst-quiet",
         story="A failure exactly ten minutes later still belongs; one a "
               "microsecond too late begins nothing by itself.",
         events=f"""
{TEN}
10m9s | 203.0.113.7 | nobody | {POD} | 401
20m9s1us | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}203.0.113.7 x11 0s..10m9s resolved"),
    dict(name="burst-quiet-of-days",
         story="The operator ends an episode after two quiet days: failures 36 "
               "hours apart are of one, also where a success between them kept "
               "it open; more than that are of another.",
         config="detectors:\n  unauthorized-burst: {quiet: 2d}\n",
         events=f"""
{TEN}
0s..9s x10 | 203.0.113.8 | nobody | {POD} | 401
9m | 203.0.113.8 | dana | {POD} | 200 allow
36h | 203.0.113.7 | nobody | {POD} | 401
48h5m | 203.0.113.8 | nobody | {POD} | 401
72h | 203.0.113.7 | nobody | {POD} | 401
120h1us | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"""
medium {BURST}203.0.113.7 x12 0s..72h resolved
{SUCCESS}203.0.113.8 x11 0s..48h5m user:dana resolved
"""),
    dict(name="burst-window-outlasts-quiet",
         story="The window of an hour holds more than is kept one by one when "
               "the second episode begins: its count is that of the window, "
               "from its first failure on.",
         config="detectors:\n  unauthorized-burst: {threshold: 2, "
                "high_factor: 2, window: 1h, quiet: 1m}\n",
         events=f"""
    0s..39s x14 | 203.0.113.7 | nobody | {POD} | 401
            8m | 203.0.113.7 | nobody | {POD} | 401
 1h7m59s999999us | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"""
high {BURST}203.0.113.7 x14 0s..39s resolved
high {BURST}203.0.113.7 x15 0s..8m resolved
medium {BURST}203.0.113.7 x2 8m..1h7m59s999999us
"""),
    dict(name="burst-twice",
         story="Two bursts with more than ten minutes between them: two "
               "alerts.",
         events=f"""
{TEN}
20m..20m9s x10 | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"""
medium {BURST}203.0.113.7 x10 0s..9s resolved
medium {BURST}203.0.113.7 x10 20m..20m9s
"""),
    dict(name="burst-options",
         story="Five within two minutes, where the operator says so.",
         config="detectors:\n  unauthorized-burst: {threshold: 5, window: 2m}\n",
         events=f"""
0s..2m x5 | 203.0.113.7 | nobody | {POD} | 401
0s..2m+1us x5 | 203.0.113.8 | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}203.0.113.7 x5 0s..2m explain.threshold:5"),
    dict(name="burst-ipv6",
         story="Ten failures of one IPv6 address: its own alert, none of its "
               "/64.",
         events=f"""
0s..9s x10 | 2001:db8::7 | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}2001:db8::7 x10 0s..9s"),
    dict(name="burst-prefix",
         story="Ten addresses of one /64, one failure each.",
         events=f"""
0s..60s x10 | 2001:db8::{{i}} | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}2001:db8::/64 x10 0s..60s"),
    dict(name="burst-prefix-and-address",
         story="One address has its alert and counts no longer for its /64; "
               "nine others are one too few.",
         events=f"""
0s..9s x10 | 2001:db8::7 | nobody | {POD} | 401
10s | 2001:db8::7 | nobody | {POD} | 401
11s..20s x9 | 2001:db8::a{{i}} | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}2001:db8::7 x11 0s..10s"),
    dict(name="burst-oauth",
         story="Ten failed logins at OpenShift's oauth-server (401, "
               "system:anonymous) count, and feed nothing else.",
         events="""
0s..9s x10 | 203.0.113.7 | anonymous | get /oauth/authorize?client_id=c | 401 | note authentication.openshift.io/decision=deny; note authentication.openshift.io/username=kubeadmin
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
    dict(name="password-spray",
         story="Five names tried at OpenShift's oauth-server, the first and "
               "last just ten minutes apart, slower than any burst.",
         events="""
0s..600s x5 | 203.0.113.7 | anonymous | get /oauth/authorize | 401 | note authentication.openshift.io/username=u{i}
""",
         verdict="medium unauthorized-burst/password_spray client=203.0.113.7 "
                 "x5 0s..600s explain.distinct_names:5 "
                 "explain.threshold_names:5 explain.window:10m"),
    dict(name="password-spray-high",
         story="Twenty names are high, nineteen medium; each address by "
               "itself, of one /64 too; what comes later is counted.",
         events="""
0s..190s x20 | 2001:db8::1 | anonymous | get /oauth/authorize | 401 | note authentication.openshift.io/username=u{i}
790s | 2001:db8::1 | anonymous | get /oauth/authorize | 401 | note authentication.openshift.io/username=u1
0s..190s x19 | 2001:db8:0:0:1::1 | anonymous | get /oauth/authorize | 401 | note authentication.openshift.io/username=u{i}
""",
         config="detectors: {unauthorized-burst: {threshold: 100}}",
         verdict="""
high unauthorized-burst/password_spray client=2001:db8::1 x21 0s..790s
medium unauthorized-burst/password_spray client=2001:db8::1:0:0:1 x19 0s..190s
"""),
    dict(name="innocent-password-spray",
         story="Five names within ten minutes and a microsecond; four names "
               "again and again; five people behind a trusted proxy; five "
               "who logged in.",
         events="""
0s..480s x4 | 203.0.113.7 | anonymous | get /oauth/authorize | 401 | note authentication.openshift.io/username=u{i}
600s+1us | 203.0.113.7 | anonymous | get /oauth/authorize | 401 | note authentication.openshift.io/username=u5
0s..36s x4 | 203.0.113.8 | anonymous | get /oauth/authorize | 401 | note authentication.openshift.io/username=u{i}
40s..76s x4 | 203.0.113.8 | anonymous | get /oauth/authorize | 401 | note authentication.openshift.io/username=u{i}
0s..60s x5 | 198.51.100.{i},10.0.0.10 | anonymous | get /oauth/authorize | 401 | note authentication.openshift.io/username=u{i}
0s..60s x5 | 203.0.113.9 | u{i} | list /api/v1/pods | 200 allow
""",
         config="networks: {trusted_proxies: [10.0.0.10/32]}",
         verdict="quiet"),
    dict(name="innocent-oauth-failures",
         story="Nine failed logins at OpenShift's oauth-server, on as many "
               "paths: too few for a burst, and no probing.",
         events="""
0s..9s x9 | 203.0.113.7 | anonymous | get /oauth/authorize/{i} | 401 | note authentication.openshift.io/username=dana
""",
         verdict="quiet"),
    dict(name="innocent-below-threshold",
         story="Nine failures, and ten over 60 s and a microsecond.",
         events=f"""
0s..9s x9 | 203.0.113.7 | nobody | {POD} | 401
0s..60s+1us x10 | 203.0.113.8 | nobody | {POD} | 401
""",
         verdict="quiet"),
    dict(name="innocent-401-with-username",
         story="An aggregated API answers 401: whoever asked had "
               "authenticated.",
         events="""
0s..9s x10 | 203.0.113.7 | dana | list /apis/metrics.k8s.io/v1beta1/pods | 401 allow
0s..9s x10 | 10.0.0.9 | dana | get /api/v1/nodes/n1/proxy/metrics | 401 allow
""",
         verdict="quiet"),
    dict(name="innocent-400-without-user",
         story="?timeout=never is a 400 without any user: no failed "
               "authentication.",
         events="""
0s..9s x10 | 203.0.113.7 | nobody | list /api/v1/pods?timeout=never | 400
""",
         verdict="quiet"),
    dict(name="innocent-duplicates",
         story="Five failures, delivered twice by a webhook.",
         events=f"""
0s..9s x5 | 203.0.113.7 | nobody | {POD} | 401 | twice
""",
         verdict="quiet"),
    dict(name="innocent-proxied-clients",
         story="Ten clients behind a trusted proxy, one failure each.",
         config="networks: {trusted_proxies: [10.0.0.10/32]}\n",
         events=f"""
0s..9s x10 | 203.0.113.{{i}}, 10.0.0.10 | nobody | {POD} | 401
""",
         verdict="quiet"),
    dict(name="innocent-disabled",
         story="A burst where the operator has switched the detector off.",
         config="detectors:\n  unauthorized-burst: {enabled: false}\n",
         events=TEN, verdict="quiet"),
]

WORKLOADS = [
    dict(name="burst-workload",
         story="An internal client, one user agent, five paths, a steady pace: "
               "a workload with an expired token.",
         events="\n".join(f"{i}s | 10.1.2.3 | nobody | get /p{i % 5} | 401"
                          for i in range(10)),
         verdict=f"{WORKLOAD}10.1.2.3 x10 0s..9s "
                 'explain.distinct_paths:5 "title:Workload with an expired"'),
    dict(name="burst-workload-pace",
         story="A gap of just ten times the median is steady, a microsecond "
               "more is not.",
         events=f"""
0s..8s x9 | 10.1.2.3 | nobody | {POD} | 401
18s | 10.1.2.3 | nobody | {POD} | 401
0s..8s x9 | 10.1.2.4 | nobody | {POD} | 401
18s+1us | 10.1.2.4 | nobody | {POD} | 401
""",
         verdict=f"""
{WORKLOAD}10.1.2.3 x10 0s..18s
medium {BURST}10.1.2.4 x10 0s..18s+1us
"""),
    dict(name="burst-workload-flood",
         story="A workload that fails five times a second, steadily: what is "
               "kept of a minute has a gap, its pace has none.",
         events=f"""
0s..59s x300 | 10.1.2.3 | nobody | {POD} | 401
""",
         verdict=f"{WORKLOAD}10.1.2.3 x300 0s..59s"),
    dict(name="burst-workload-pause",
         story="170 within the window, most of them ten a second: a pause of "
               "ten times that is steady, a microsecond more is not, though the "
               "latest hundred alone were slower.",
         events=f"""
        0s..10s900ms x110 | 10.1.2.3 | nobody | {POD} | 401
11s250ms..31s900ms x60 | 10.1.2.3 | nobody | {POD} | 401
              32s900ms | 10.1.2.3 | nobody | {POD} | 401
        0s..10s900ms x110 | 10.1.2.4 | nobody | {POD} | 401
11s250ms..31s900ms x60 | 10.1.2.4 | nobody | {POD} | 401
          32s900ms+1us | 10.1.2.4 | nobody | {POD} | 401
""",
         verdict=f"""
{WORKLOAD}10.1.2.3 x171 0s..32s900ms
high {BURST}10.1.2.4 x171 0s..32s900ms+1us
"""),
    dict(name="burst-no-workload",
         story="Each lacks one thing of a workload: external, two user agents, "
               "six paths.",
         events=f"""
0s..9s x10 | 203.0.113.7 | nobody | {POD} | 401
0s..8s x9 | 10.1.2.4 | nobody | {POD} | 401
9s | 10.1.2.4 | nobody | {POD} | 401 | agent=curl/8.5.0
"""
                + "\n".join(f"{i}s | 10.1.2.5 | nobody | get /p{i % 6} | 401"
                            for i in range(10)),
         verdict=f"""
medium {BURST}203.0.113.7 x10 0s..9s
medium {BURST}10.1.2.4 x10 0s..9s explain.distinct_user_agents:2
medium {BURST}10.1.2.5 x10 0s..9s explain.distinct_paths:6
"""),
    dict(name="burst-workload-turns",
         story="A second user agent joins a workload minutes later: no "
               "workload any more.",
         events=f"""
{STEADY}
5m | 10.1.2.3 | nobody | {POD} | 401 | agent=curl/8.5.0
""",
         verdict=f"medium {BURST}10.1.2.3 x11 0s..5m"),
    dict(name="burst-workload-turns-after-many",
         story="A hundred within the window, of a workload; minutes later one "
               "more with another user agent: no workload any more, but that "
               "one alone in its window. Medium, and it says why.",
         events=f"""
0s..59s x100 | 10.1.2.3 | nobody | {POD} | 401 | agent=shop/1.0
5m | 10.1.2.3 | nobody | {POD} | 401 | agent=curl/8.5.0
""",
         verdict=f"medium {BURST}10.1.2.3 x101 0s..5m explain.peak:100 "
                 '"summary:while it looked like a workload"'),
    dict(name="burst-workload-turns-among-many",
         story="The same within the window: high.",
         events=f"""
0s..59s x100 | 10.1.2.3 | nobody | {POD} | 401 | agent=shop/1.0
59s500ms | 10.1.2.3 | nobody | {POD} | 401 | agent=curl/8.5.0
""",
         verdict=f"high {BURST}10.1.2.3 x101 0s..59s500ms"),
    dict(name="burst-workload-new-token",
         story="The workload's pod gets its new token: same user agent, no "
               "success to fear.",
         events=f"""
{STEADY}
90s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | agent=shop/1.0
""",
         verdict=f"{WORKLOAD}10.1.2.3 x10 0s..9s"),
    dict(name="burst-workload-other-agent",
         story="A success from a workload's address with another user agent is "
               "not its new token.",
         events=f"""
{STEADY}
90s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | agent=curl/8.5.0
""",
         verdict=f"{SUCCESS}10.1.2.3 x10 0s..90s "
                 "user:system:serviceaccount:shop:cart"),
    dict(name="burst-workload-second-agent",
         story="A success with the workload's own user agent, and 20 s later "
               "in the same minute with another: not its new token.",
         events=f"""
{STEADY}
90s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | agent=shop/1.0
110s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | agent=till/2.0
""",
         verdict=f"{SUCCESS}10.1.2.3 x10 0s..110s "
                 "user:system:serviceaccount:shop:cart"),
]

SUCCESSES = [
    dict(name="success-later-minute",
         story="A success in a later minute than the burst: critical, with "
               "name and credential; the count stays the failures'.",
         events=f"""
{TEN}
90s | 203.0.113.7 | dana | list /api/v1/secrets | 200 allow | certificate=dana
""",
         verdict=f"{SUCCESS}203.0.113.7 x10 0s..90s user:dana credential:dana "
                 'explain.identities:dana "title:dana"'),
    dict(name="success-same-minute",
         story="A success in the minute of the firing.",
         events=f"""
{TEN}
30s | 203.0.113.7 | dana | {POD} | 200 allow | credential=JTI=1234
""",
         verdict=f"{SUCCESS}203.0.113.7 x10 0s..30s user:dana "
                 "credential:JTI=1234"),
    dict(name="success-denied",
         story="Authenticated is enough, authorized or not; discovery is "
               "beyond public paths.",
         events=f"""
{TEN}
0s..9s x10 | 203.0.113.8 | nobody | {POD} | 401
90s | 203.0.113.7 | dana | {POD} | 403 forbid
90s | 203.0.113.8 | erin | get /api | 200 allow
""",
         verdict=f"""
{SUCCESS}203.0.113.7 x10 0s..90s user:dana
{SUCCESS}203.0.113.8 x10 0s..90s user:erin
"""),
    dict(name="success-at-ten-minutes",
         story="Ten minutes after the last failure still count, a microsecond "
               "more does not.",
         events=f"""
{TEN}
0s..9s x10 | 203.0.113.8 | nobody | {POD} | 401
10m9s | 203.0.113.7 | dana | {POD} | 200 allow
10m9s1us | 203.0.113.8 | erin | {POD} | 200 allow
""",
         verdict=f"""
{SUCCESS}203.0.113.7 x10 0s..10m9s user:dana
medium {BURST}203.0.113.8 x10 0s..9s resolved
"""),
    dict(name="success-then-failures",
         story="Failures after the success still count.",
         events=f"""
{TEN}
90s | 203.0.113.7 | dana | {POD} | 200 allow
95s..96s x2 | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"{SUCCESS}203.0.113.7 x12 0s..96s user:dana"),
    dict(name="success-after-flood",
         story="A hundred failures of a workload, one more with another user "
               "agent, then the first agent's success, all in a minute: no new "
               "token of a workload, for it is none.",
         events=f"""
0s..49s500ms x100 | 10.1.2.3 | nobody | {POD} | 401 | agent=shop/1.0
50s | 10.1.2.3 | nobody | {POD} | 401 | agent=curl/8.5.0
55s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | agent=shop/1.0
""",
         verdict=f"{SUCCESS}10.1.2.3 x101 0s..55s "
                 "user:system:serviceaccount:shop:cart"),
    dict(name="success-after-flood-later-minute",
         story="The same in the minute after the firing: a success there is "
               "judged at once, but also by the failures that are told at the "
               "minute's end.",
         events=f"""
{STEADY}
60s..109s500ms x100 | 10.1.2.3 | nobody | {POD} | 401 | agent=shop/1.0
110s | 10.1.2.3 | nobody | {POD} | 401 | agent=curl/8.5.0
115s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | agent=shop/1.0
""",
         verdict=f"{SUCCESS}10.1.2.3 x111 0s..115s "
                 "user:system:serviceaccount:shop:cart"),
    dict(name="burst-workload-flood-new-token",
         story="The same without that one: the workload's new token.",
         events=f"""
0s..49s500ms x101 | 10.1.2.3 | nobody | {POD} | 401 | agent=shop/1.0
55s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | agent=shop/1.0
""",
         verdict=f"{WORKLOAD}10.1.2.3 x101 0s..49s500ms"),
    dict(name="success-prefix",
         story="Burst of a /64, success of any of its addresses.",
         events=f"""
0s..9s x10 | 2001:db8::{{i}} | nobody | {POD} | 401
90s | 2001:db8::ffff | dana | {POD} | 200 allow
""",
         verdict=f"{SUCCESS}2001:db8::/64 x10 0s..90s user:dana"),
    dict(name="success-four-identities",
         story="Four identities from one address are not yet a shared one.",
         events=f"""
  1s | 203.0.113.7 | p1 | {POD} | 200 allow
  2s | 203.0.113.7 | p2 | {POD} | 200 allow
  3s | 203.0.113.7 | p3 | {POD} | 200 allow
{TEN}
90s | 203.0.113.7 | dana | {POD} | 200 allow
""",
         verdict=f"{SUCCESS}203.0.113.7 x10 0s..90s user:dana"),
    dict(name="success-before-the-crowd",
         story="dana comes after the burst, and thirteen more after her: when "
               "she came the address was not yet shared, nor for the next "
               "three.",
         events=f"""
{TEN}
30s | 203.0.113.7 | dana | {POD} | 200 allow
"""
                + "\n".join(f"{40 + i}s | 203.0.113.7 | p{i} | {POD} | 200 allow"
                            for i in range(13)),
         verdict=f"{SUCCESS}203.0.113.7 x10 0s..42s "
                 "explain.identities:p0,p1,p2,dana"),
    dict(name="success-old-watches-end",
         story="Of four others from there only watches end: that "
               "somebody was there once makes no address shared.",
         events="\n".join(f"{1 + i}s | 203.0.113.7 | p{i} | watch "
                          "/api/v1/pods?watch=true | 200 allow | "
                          f"stage=ResponseComplete; received=0s"
                          for i in range(4)) + f"""
{TEN}
90s | 203.0.113.7 | dana | {POD} | 200 allow
""",
         verdict=f"{SUCCESS}203.0.113.7 x10 0s..90s user:dana"),
    dict(name="innocent-success-before",
         story="dana worked before the burst began, in the same minute, and "
               "not after it: a burst, no success.",
         events=f"""
 1s | 203.0.113.7 | dana | {POD} | 200 allow
10s..19s x10 | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"medium {BURST}203.0.113.7 x10 10s..19s"),
    dict(name="innocent-success-shared-address",
         story="Five identities from one address within ten minutes: shared, "
               "so a success says nothing.",
         events=f"""
  1s | 203.0.113.7 | p1 | {POD} | 200 allow
  2s | 203.0.113.7 | p2 | {POD} | 200 allow
  3s | 203.0.113.7 | p3 | {POD} | 200 allow
  4s | 203.0.113.7 | p4 | {POD} | 200 allow
{TEN}
90s | 203.0.113.7 | dana | {POD} | 200 allow
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
    dict(name="innocent-success-in-a-crowd",
         story="Eighteen people behind one address, five of them before the "
               "burst: shared, for every one that comes after it.",
         events="\n".join(f"{i}ms | 203.0.113.7 | p{i} | {POD} | 200 allow"
                          for i in range(5))
                + f"\n{TEN}\n"
                + "\n".join(f"{10 + i}s | 203.0.113.7 | q{i} | {POD} | 200 allow"
                            for i in range(13)),
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
    dict(name="innocent-success-crowd-of-before",
         story="Five people nine minutes before, and thirteen later ones up to "
               "the burst's minute: still shared.",
         events="\n".join(f"{i}ms | 203.0.113.7 | p{i} | {POD} | 200 allow"
                          for i in range(5))
                + f"\n9m..9m9s x10 | 203.0.113.7 | nobody | {POD} | 401\n"
                + "\n".join(f"9m{20 + i}s | 203.0.113.7 | q{i} | {POD} | "
                            "200 allow" for i in range(13)),
         verdict=f"medium {BURST}203.0.113.7 x10 9m..9m9s"),
    dict(name="innocent-success-trusted-proxy",
         story="The burst and the success come from a trusted proxy itself.",
         config="networks: {trusted_proxies: [203.0.113.7/32]}\n",
         events=f"""
{TEN}
90s | 203.0.113.7 | dana | {POD} | 200 allow
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
    dict(name="innocent-success-public-path",
         story="After the burst only public paths, and anonymous ones.",
         events=f"""
{TEN}
90s | 203.0.113.7 | dana | get /readyz | 200 allow
91s | 203.0.113.7 | anonymous | get /version | 200 allow
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
    dict(name="innocent-success-elsewhere",
         story="dana works from another address than the burst's.",
         events=f"""
{TEN}
90s | 203.0.113.8 | dana | {POD} | 200 allow
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
    dict(name="innocent-success-end-of-watch",
         story="A watch that was open long before the burst ends after it: its "
               "end says nothing of when.",
         events=f"""
{TEN}
90s | 203.0.113.7 | dana | watch /api/v1/pods?watch=true | 200 allow | stage=ResponseComplete; received=0s
""",
         verdict=f"medium {BURST}203.0.113.7 x10 0s..9s"),
]

SLOW = "low unauthorized-burst/low_and_slow client="

LOW_AND_SLOW = [
    dict(name="low-and-slow",
         story="A failure a minute, thirty minutes long; a further one belongs "
               "to the day.",
         events=minutes(30) + f"\n5h | 203.0.113.7 | nobody | {POD} | 401",
         verdict=f"{SLOW}203.0.113.7 x31 0s..5h explain.minutes:31"),
    dict(name="low-and-slow-a-day",
         story="The thirtieth minute exactly 24 h after the first failure; a "
               "microsecond later is too late.",
         events=minutes(29) + f"\n24h | 203.0.113.7 | nobody | {POD} | 401\n"
                + minutes(29, client="203.0.113.8")
                + f"\n24h1us | 203.0.113.8 | nobody | {POD} | 401",
         verdict=f"{SLOW}203.0.113.7 x30 0s..24h explain.minutes:30"),
    dict(name="low-and-slow-window",
         story="Two failures in the first minute, the earlier of them more "
               "than 24 h ago when the thirtieth comes: it does not count.",
         events=f"0s | 203.0.113.7 | nobody | {POD} | 401\n"
                + minutes(29, "30s")
                + f"\n24h10s | 203.0.113.7 | nobody | {POD} | 401",
         verdict=f"{SLOW}203.0.113.7 x30 30s..24h10s"),
    dict(name="low-and-slow-daily",
         story="Over midnight: one alert a day, each beginning with its own "
               "window.",
         start="2026-01-02T23:30:00Z",
         events=minutes(32),
         verdict=f"""
{SLOW}203.0.113.7 x30 0s..29m resolved
{SLOW}203.0.113.7 x32 0s..31m
"""),
    dict(name="low-and-slow-short-window",
         story="Five minutes within an hour are enough for this operator; what "
               "the client fails hours later is of the same day's alert.",
         config="detectors:\n  unauthorized-burst: "
                "{slow_minutes: 5, slow_window: 1h}\n",
         events=minutes(5) + f"""
     7h | 203.0.113.7 | nobody | {POD} | 401
 20h59m | 203.0.113.7 | nobody | {POD} | 401
    21h | 203.0.113.7 | nobody | {POD} | 401
""",
         verdict=f"{SLOW}203.0.113.7 x7 0s..20h59m resolved"),
    dict(name="low-and-slow-prefix",
         story="Thirty addresses of a /64 in turn, a failure a minute.",
         events="\n".join(f"{i}m | 2001:db8::{i + 1} | nobody | {POD} | 401"
                          for i in range(30)),
         verdict=f"{SLOW}2001:db8::/64 x30 0s..29m"),
    dict(name="innocent-low-and-slow",
         story="29 minutes; sixty failures in 29 minutes.",
         events=minutes(29) + "\n" + minutes(29, client="203.0.113.8") + "\n"
                + minutes(29, "20s", client="203.0.113.8"),
         verdict="quiet"),
]

CASES = BURSTS + WORKLOADS + SUCCESSES + LOW_AND_SLOW
