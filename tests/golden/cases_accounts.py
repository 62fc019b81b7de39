"""service-account-external: external, own_egress, allow."""

POD = "list /api/v1/namespaces/shop/pods"
CART = "account shop/cart"
EXTERNAL = "service-account-external/external account=shop/cart client="
EGRESS = "medium service-account-external/own_egress client="


def kubelet(name, at, client="198.51.100.9"):
    return (f"{at} | {client} | kubelet {name} | get /api/v1/nodes/{name} | "
            "200 allow | agent=kubelet/v1.35.4")


CASES = [
    dict(name="account-external",
         story="A workload's token, used from outside and let in: high.",
         events=f"""
0s | 203.0.113.7 | {CART} | {POD} | 200 allow | credential=JTI=1; pod=cart-0
3m | 203.0.113.7 | {CART} | {POD} | 200 allow | credential=JTI=1; pod=cart-0
""",
         verdict=f"high {EXTERNAL}203.0.113.7 x2 0s..3m "
                 "user:system:serviceaccount:shop:cart credential:JTI=1 "
                 "explain.pods:cart-0"),
    dict(name="account-external-denied",
         story="Denied: medium. Let in once: high.",
         events=f"""
0s | 203.0.113.7 | {CART} | {POD} | 403 forbid
0s | 203.0.113.8 | {CART} | {POD} | 403 forbid
9s | 203.0.113.8 | {CART} | {POD} | 200 allow
""",
         verdict=f"""
medium {EXTERNAL}203.0.113.7 x1 0s..0s
high {EXTERNAL}203.0.113.8 x2 0s..9s
"""),
    dict(name="account-external-critical",
         story="Critical each, allowed or not: a legacy token (one that has an "
               "id too), kubectl, curl, python, secrets, RBAC, exec.",
         events=f"""
0s | 203.0.113.1 | {CART} | {POD} | 403 forbid | legacy=cart-token
0s | 203.0.113.8 | {CART} | {POD} | 403 forbid | legacy; credential=JTI=77
0s | 203.0.113.2 | {CART} | {POD} | 403 forbid | agent=kubectl/v1.35.4 (linux/amd64)
0s | 203.0.113.3 | {CART} | {POD} | 200 allow | agent=curl/8.5.0
0s | 203.0.113.4 | {CART} | {POD} | 200 allow | agent=python-requests/2.31.0
0s | 203.0.113.5 | {CART} | get /api/v1/namespaces/shop/secrets/x | 403 forbid
0s | 203.0.113.6 | {CART} | list /apis/rbac.authorization.k8s.io/v1/clusterroles | 403 forbid
0s | 203.0.113.7 | {CART} | create /api/v1/namespaces/shop/pods/web/exec | 101 allow
""",
         verdict=f"""
critical {EXTERNAL}203.0.113.1 x1 0s..0s credential:secret:shop/cart-token
critical {EXTERNAL}203.0.113.8 x1 0s..0s
critical {EXTERNAL}203.0.113.2 x1 0s..0s
critical {EXTERNAL}203.0.113.3 x1 0s..0s
critical {EXTERNAL}203.0.113.4 x1 0s..0s
critical {EXTERNAL}203.0.113.5 x1 0s..0s
critical {EXTERNAL}203.0.113.6 x1 0s..0s
critical {EXTERNAL}203.0.113.7 x1 0s..0s
"""),
    dict(name="account-external-claims-internal",
         story="X-Forwarded-For says a pod's address: claimed, the peer is "
               "outside.",
         events=f"""
0s | 10.1.2.3, 203.0.113.7 | {CART} | {POD} | 200 allow
""",
         verdict=f"high {EXTERNAL}203.0.113.7 x1 0s..0s claimed:10.1.2.3"),
    dict(name="account-external-proxy",
         story="The same through a proxy that is trusted: the client is "
               "outside.",
         config="networks: {trusted_proxies: [10.0.0.10/32]}\n",
         events=f"""
0s | 203.0.113.7, 10.0.0.10 | {CART} | {POD} | 200 allow
""",
         verdict=f"high {EXTERNAL}203.0.113.7 x1 0s..0s"),
    dict(name="account-external-watch",
         story="A watch with start and end is one request; of one only the end "
               "was kept.",
         events="""
 0s | 203.0.113.7 | account shop/cart | watch /api/v1/pods?watch=true | 200 allow | id=a; received=0s
20s | 203.0.113.7 | account shop/cart | watch /api/v1/pods?watch=true | 200 allow | id=a; received=0s; stage=ResponseComplete
 5s | 203.0.113.8 | account shop/cart | watch /api/v1/pods?watch=true | 200 allow | stage=ResponseComplete
 5s | 203.0.113.9 | account shop/cart | watch /api/v1/pods?watch=true | 403 forbid | stage=ResponseComplete
""",
         verdict=f"""
high {EXTERNAL}203.0.113.7 x1 0s..20s
high {EXTERNAL}203.0.113.8 x1 5s..5s "summary:let in"
medium {EXTERNAL}203.0.113.9 x1 5s..5s "summary:all denied"
"""),
    dict(name="account-external-own-internal-list",
         story="The operator's list replaces the default one: 10.1.2.3 is "
               "outside now.",
         config="networks: {internal: [198.51.100.0/24]}\n",
         events=f"""
0s | 10.1.2.3 | {CART} | {POD} | 200 allow
1s | 198.51.100.9 | {CART} | {POD} | 200 allow
""",
         verdict=f"high {EXTERNAL}10.1.2.3 x1 0s..0s"),
    dict(name="account-allow-expired",
         story="An entry of the allow list that is no longer good alerts; one "
               "for another account, or another network, does not help.",
         config="""
detectors:
  service-account-external:
    allow:
      - {account: shop/cart, cidr: 203.0.113.0/24, until: 2026-01-01}
      - {account: shop/till, cidr: 203.0.113.0/24, until: 2026-12-31}
      - {account: shop/cart, cidr: 198.51.100.0/25, until: 2026-12-31}
""",
         events=f"""
0s | 203.0.113.7 | {CART} | {POD} | 200 allow
0s | 198.51.100.200 | {CART} | {POD} | 200 allow
""",
         verdict=f"""
high {EXTERNAL}203.0.113.7 x1 0s..0s explain.allow_expired:2026-01-02T00:00:00.000000Z
high {EXTERNAL}198.51.100.200 x1 0s..0s
"""),
    dict(name="account-allow-ends",
         story="The entry ends between two requests of one minute: the second "
               "alerts.",
         config="""
detectors:
  service-account-external:
    allow:
      - {account: shop/cart, cidr: 203.0.113.0/24, until: "2026-01-02T03:00:30Z"}
""",
         events=f"""
10s | 203.0.113.7 | {CART} | {POD} | 200 allow
40s | 203.0.113.7 | {CART} | {POD} | 200 allow
""",
         verdict=f"high {EXTERNAL}203.0.113.7 x1 40s..40s "
                 "explain.allow_expired:2026-01-02T03:00:30.000000Z"),
    dict(name="account-own-egress",
         story="Kubelets of two nodes come from that address too: it is the "
               "cluster's own. One alert says what to list; the accounts there "
               "are excused, kubectl and all.",
         events=f"""
0s | 198.51.100.9 | {CART} | {POD} | 200 allow
1s | 198.51.100.9 | account shop/till | {POD} | 200 allow | agent=kubectl/v1.35.4
{kubelet("n1", "60s")}
{kubelet("n2", "119s")}
4m | 198.51.100.9 | {CART} | {POD} | 200 allow
""",
         verdict=f"{EGRESS}198.51.100.9 x3 0s..4m"),
    dict(name="account-egress-allowed",
         story="An account that is allowed at the cluster's own egress needs "
               "no excuse: counted are the others.",
         config="""
detectors:
  service-account-external:
    allow:
      - {account: shop/cart, cidr: 198.51.100.9/32, until: "2026-01-02T03:05:30Z"}
""",
         events=f"""
0s | 198.51.100.9 | {CART} | {POD} | 200 allow
{kubelet("n1", "60s")}
{kubelet("n2", "61s")}
4m | 198.51.100.9 | {CART} | {POD} | 200 allow
5m | 198.51.100.9 | account shop/till | {POD} | 200 allow
6m | 198.51.100.9 | {CART} | {POD} | 200 allow
""",
         verdict=f"{EGRESS}198.51.100.9 x2 5m..6m"),
    dict(name="account-egress-too-late",
         story="The second node comes after the first two minutes: what was "
               "seen in them is judged without it, what comes later with it.",
         events=f"""
0s | 198.51.100.9 | {CART} | {POD} | 200 allow
{kubelet("n1", "60s")}
{kubelet("n2", "150s")}
4m | 198.51.100.9 | {CART} | {POD} | 200 allow
""",
         verdict=f"""
high {EXTERNAL}198.51.100.9 x1 0s..0s
{EGRESS}198.51.100.9 x1 4m..4m
"""),
    dict(name="account-egress-forgotten",
         story="Own egress is remembered for 24 h after the kubelets came, and "
               "not longer.",
         events=f"""
{kubelet("n1", "0s")}
{kubelet("n2", "0s")}
24h | 198.51.100.9 | {CART} | {POD} | 200 allow
24h1m | 198.51.100.9 | {CART} | {POD} | 200 allow
""",
         verdict=f"""
{EGRESS}198.51.100.9 x1 24h..24h
high {EXTERNAL}198.51.100.9 x1 24h1m..24h1m
"""),
    dict(name="account-egress-one-node",
         story="One kubelet is not enough, however often it comes; nor is one "
               "of another address.",
         events=f"""
{kubelet("n1", "0s")}
{kubelet("n1", "30s")}
{kubelet("n2", "40s", "198.51.100.10")}
50s | 198.51.100.9 | {CART} | {POD} | 200 allow
""",
         verdict=f"high {EXTERNAL}198.51.100.9 x1 50s..50s"),
    dict(name="account-egress-no-kubelet",
         story="Names of nodes without the group system:nodes vouch for "
               "nobody (and are forged).",
         events=f"""
0s | 198.51.100.9 | system:node:n1 | get /api/v1/nodes/n1 | 403 forbid
1s | 198.51.100.9 | system:node:n2 | get /api/v1/nodes/n2 | 403 forbid
9s | 198.51.100.9 | {CART} | {POD} | 200 allow
""",
         verdict=f"""
high {EXTERNAL}198.51.100.9 x1 9s..9s
critical forged-identity/node_without_group user=system:node:n1 credential_id= x1 0s..0s
critical forged-identity/node_without_group user=system:node:n2 credential_id= x1 1s..1s
"""),
    dict(name="innocent-account-at-home",
         story="From inside: pod, carrier-grade NAT, IPv6 ULA, loopback, "
               "link-local; and from nowhere.",
         events=f"""
0s | 10.1.2.3 | {CART} | {POD} | 200 allow
1s | 100.64.1.1 | {CART} | {POD} | 200 allow
2s | fd00::7 | {CART} | {POD} | 200 allow
3s | ::1 | {CART} | {POD} | 200 allow
4s | 169.254.1.1 | {CART} | {POD} | 200 allow
5s | - | {CART} | {POD} | 200 allow
6s | gce-internal-ip | {CART} | {POD} | 200 allow
""",
         verdict="quiet"),
    dict(name="innocent-account-own-network",
         story="The cluster's public node addresses, listed by the operator.",
         config="networks: {internal: [203.0.113.0/24]}\n",
         events=f"""
0s | 203.0.113.7 | {CART} | {POD} | 200 allow
""",
         verdict="quiet"),
    dict(name="innocent-account-allowed",
         story="A CI system that the operator allows to the day's end.",
         config="""
detectors:
  service-account-external:
    allow:
      - {account: shop/cart, cidr: 203.0.113.0/24, until: 2026-01-02}
      - {account: "ci/*", cidr: 203.0.113.0/24, until: 2026-01-02}
""",
         events=f"""
0s | 203.0.113.7 | {CART} | {POD} | 200 allow
20h59m59s | 203.0.113.7 | account ci/runner | {POD} | 200 allow | agent=kubectl/v1.35.4
""",
         verdict="quiet"),
    dict(name="innocent-account-impersonated",
         story="dana, outside, acts as an account: the real user is dana.",
         events=f"""
0s | 203.0.113.7 | dana | {POD} | 200 allow | as={CART}
""",
         verdict="quiet"),
]
