"""anonymous-access and anonymous-probing."""

REASON = ('reason=RBAC: allowed by ClusterRoleBinding "oops" of ClusterRole '
          '"view" to Group "system:unauthenticated"')
IN_NAMESPACE = ('reason=RBAC: allowed by RoleBinding "let me/shop" of Role '
                '"reader" to User "system:anonymous"')

ACCESS = [
    dict(name="anonymous-access-write",
         story="Somebody without a credential creates a pod: critical.",
         events="""
 0s | 203.0.113.7 | anonymous | create /api/v1/namespaces/shop/pods | 201 allow
""",
         verdict="critical anonymous-access/let_in client=203.0.113.7 "
                 "class=write target=pods x1 0s..0s user:system:anonymous"),
    dict(name="anonymous-access-secrets",
         story="A ClusterRoleBinding lets everybody list secrets: critical, and"
               " the alert says which binding to delete.",
         events=f"""
 0s | 203.0.113.7 | anonymous | list /api/v1/secrets | 200 allow | {REASON}
""",
         verdict="critical anonymous-access/let_in client=203.0.113.7 "
                 "class=read target=secrets x1 0s..0s explain.binding:oops "
                 "explain.role:view explain.subject:system:unauthenticated"),
    dict(name="anonymous-access-read",
         story="Listing nodes, by a RoleBinding whose name needs quoting in a "
               "shell: high.",
         events=f"""
 0s | 203.0.113.7 | anonymous | list /api/v1/namespaces/shop/pods | 200 allow | {IN_NAMESPACE}
 5s | 203.0.113.7 | anonymous | get /api/v1/nodes/n1 | 200 allow
""",
         verdict="""
high anonymous-access/let_in client=203.0.113.7 class=read target=pods x1 0s..0s explain.binding_kind:RoleBinding "explain.binding:let me/shop"
high anonymous-access/let_in client=203.0.113.7 class=read target=nodes x1 5s..5s
"""),
    dict(name="anonymous-access-connect",
         story="exec by both protocols and a node's proxy are critical; only "
               "`get` of a pod's or service's proxy is high.",
         events="""
 0s | 203.0.113.1 | anonymous | create /api/v1/namespaces/shop/pods/web/exec?command=sh | 101 allow
 1s | 203.0.113.2 | anonymous | get /api/v1/namespaces/shop/pods/web/exec?command=sh | 101 allow
 2s | 203.0.113.3 | anonymous | get /api/v1/nodes/n1/proxy/pods | 200 allow
 3s | 203.0.113.4 | anonymous | get /api/v1/namespaces/shop/pods/web/proxy/ | 200 allow
 4s | 203.0.113.5 | anonymous | get /api/v1/namespaces/shop/services/web/proxy/ | 200 allow
 5s | 203.0.113.6 | anonymous | create /api/v1/namespaces/shop/services/web/proxy/ | 200 allow
 6s | 203.0.113.8 | anonymous | get /api/v1/namespaces/shop/pods/web/log | 200 allow
""",
         verdict="""
critical anonymous-access/let_in client=203.0.113.1 class=connect target=pods x1 0s..0s
critical anonymous-access/let_in client=203.0.113.2 class=connect target=pods x1 1s..1s
critical anonymous-access/let_in client=203.0.113.3 class=connect target=nodes x1 2s..2s
high anonymous-access/let_in client=203.0.113.4 class=connect target=pods x1 3s..3s
high anonymous-access/let_in client=203.0.113.5 class=connect target=services x1 4s..4s
critical anonymous-access/let_in client=203.0.113.6 class=connect target=services x1 5s..5s
high anonymous-access/let_in client=203.0.113.8 class=read target=pods x1 6s..6s
"""),
    dict(name="anonymous-access-path",
         story="Paths that name no resource are medium, under their first two "
               "segments; a subpath of a public one is not public.",
         events="""
 0s | 203.0.113.7 | anonymous | get /metrics | 200 allow
 1s | 203.0.113.7 | anonymous | get /metrics?verbose | 200 allow
 2s | 203.0.113.7 | anonymous | get /livez/etcd | 200 allow
 3s | 203.0.113.7 | anonymous | get /apis/apps/v1 | 200 allow
 4s | 203.0.113.7 | anonymous | get /apis/apps/v1beta1/ | 200 allow
""",
         verdict="""
medium anonymous-access/let_in client=203.0.113.7 class=read target=/metrics x2 0s..1s
medium anonymous-access/let_in client=203.0.113.7 class=read target=/livez/etcd x1 2s..2s
medium anonymous-access/let_in client=203.0.113.7 class=read target=/apis/apps x2 3s..4s
"""),
    dict(name="anonymous-access-cluster-info",
         story="What kubeadm join reads is info; the same object in another "
               "namespace is not.",
         events="""
 0s | 10.0.0.9 | anonymous | get /api/v1/namespaces/kube-public/configmaps/cluster-info?timeout=10s | 200 allow
 1s | 10.0.0.8 | anonymous | get /api/v1/namespaces/shop/configmaps/cluster-info | 200 allow
""",
         verdict="""
info anonymous-access/let_in client=10.0.0.9 class=read target=configmaps x1 0s..0s
high anonymous-access/let_in client=10.0.0.8 class=read target=configmaps x1 1s..1s
"""),
    dict(name="anonymous-access-rises",
         story="cluster-info first, then all config maps: one episode, as grave "
               "as its worst request.",
         events="""
 0s | 203.0.113.7 | anonymous | get /api/v1/namespaces/kube-public/configmaps/cluster-info | 200 allow
 9s | 203.0.113.7 | anonymous | list /api/v1/configmaps | 200 allow
""",
         verdict="high anonymous-access/let_in client=203.0.113.7 class=read "
                 "target=configmaps x2 0s..9s"),
    dict(name="anonymous-access-not-found",
         story="Authorized and then 404 or 403 by admission: the exposure "
               "counts, not the deed.",
         events="""
 0s | 203.0.113.7 | anonymous | get /api/v1/namespaces/shop/secrets/x | 404 allow
 1s | 203.0.113.7 | anonymous | create /api/v1/namespaces/shop/pods | 403 allow
""",
         verdict="""
critical anonymous-access/let_in client=203.0.113.7 class=read target=secrets x1 0s..0s
critical anonymous-access/let_in client=203.0.113.7 class=write target=pods x1 1s..1s
"""),
    dict(name="anonymous-access-no-decision",
         story="Without the authorizer's annotation the code decides: below "
               "400 is in.",
         events="""
 0s | 203.0.113.7 | anonymous | list /api/v1/pods | 200
 1s | 203.0.113.7 | anonymous | get /api/v1/namespaces/shop/pods/web/exec | 101
 2s | 203.0.113.7 | anonymous | list /api/v1/services | 403
 3s | 203.0.113.7 | anonymous | list /api/v1/endpoints | 404
""",
         verdict="""
high anonymous-access/let_in client=203.0.113.7 class=read target=pods x1 0s..0s
critical anonymous-access/let_in client=203.0.113.7 class=connect target=pods x1 1s..1s
"""),
    dict(name="anonymous-access-by-group",
         story="Group system:unauthenticated under another name is anonymous "
               "too.",
         events="""
 0s | 203.0.113.7 | guest | list /api/v1/pods | 200 allow | groups=system:unauthenticated
""",
         verdict="high anonymous-access/let_in client=203.0.113.7 class=read "
                 "target=pods x1 0s..0s user:guest"),
    dict(name="anonymous-access-once-a-request",
         story="A watch with its start and end, one line delivered twice, and "
               "two requests that carry the same audit ID: four requests.",
         events="""
 0s | 203.0.113.7 | anonymous | watch /api/v1/pods?watch=true | 200 allow | id=w; received=0s
20s | 203.0.113.7 | anonymous | watch /api/v1/pods?watch=true | 200 allow | id=w; received=0s; stage=ResponseComplete
30s | 203.0.113.7 | anonymous | list /api/v1/pods | 200 allow | twice
31s | 203.0.113.7 | anonymous | list /api/v1/pods | 200 allow | id=Lorem
32s | 203.0.113.7 | anonymous | list /api/v1/pods | 200 allow | id=Lorem
""",
         verdict="high anonymous-access/let_in client=203.0.113.7 class=read "
                 "target=pods x4 0s..32s"),
    dict(name="anonymous-access-only-the-end",
         story="Of a watch the policy kept only the end: judged all the same, "
               "and counted as one.",
         events="""
20s | 203.0.113.7 | anonymous | watch /api/v1/pods?watch=true | 200 allow | received=0s; stage=ResponseComplete
""",
         verdict="high anonymous-access/let_in client=203.0.113.7 class=read "
                 "target=pods x1 20s..20s"),
    dict(name="anonymous-access-quiet",
         story="Ten minutes later still belongs, a microsecond more does not.",
         events="""
    0s | 203.0.113.7 | anonymous | list /api/v1/pods | 200 allow
   10m | 203.0.113.7 | anonymous | list /api/v1/pods | 200 allow
20m1us | 203.0.113.7 | anonymous | list /api/v1/pods | 200 allow
""",
         verdict="""
high anonymous-access/let_in client=203.0.113.7 class=read target=pods x2 0s..10m resolved
high anonymous-access/let_in client=203.0.113.7 class=read target=pods x1 20m1us..20m1us
"""),
    dict(name="anonymous-access-claimed",
         story="The client wrote addresses of its own before the peer's: shown "
               "as claimed, believed in nothing.",
         events="""
 0s | 10.0.0.1, 127.0.0.1, 203.0.113.7 | anonymous | list /api/v1/pods | 200 allow
""",
         verdict="high anonymous-access/let_in client=203.0.113.7 class=read "
                 "target=pods x1 0s..0s claimed:10.0.0.1,127.0.0.1"),
    dict(name="anonymous-access-proxy",
         story="Behind a trusted proxy the client is the address before it.",
         config="networks: {trusted_proxies: [10.0.0.10/32]}\n",
         events="""
 0s | 198.51.100.1, 203.0.113.7, 10.0.0.10 | anonymous | list /api/v1/pods | 200 allow
""",
         verdict="high anonymous-access/let_in client=203.0.113.7 class=read "
                 "target=pods x1 0s..0s claimed:198.51.100.1"),
    dict(name="anonymous-access-many-targets",
         story="After 32 targets of one client and day all others share a key.",
         events="""
0s..33s x34 | 203.0.113.7 | anonymous | get /p{i} | 200 allow
40s | 203.0.113.7 | anonymous | get /p1 | 200 allow
""",
         verdict="\n".join(
             f"medium anonymous-access/let_in client=203.0.113.7 class=read "
             f"target=/p{i + 1} x{2 if i == 0 else 1} {i}s..{i if i else 40}s"
             for i in range(32)) + """
medium anonymous-access/let_in client=203.0.113.7 class=other target=other x2 32s..33s
"""),
    dict(name="innocent-public-paths",
         story="The public paths, however they are written.",
         events="""
 0s | 203.0.113.7 | anonymous | get /healthz | 200 allow
 1s | 203.0.113.7 | anonymous | get /livez?verbose&exclude=etcd | 200 allow
 2s | 203.0.113.7 | anonymous | get /readyz/ | 200 allow
 3s | 203.0.113.7 | anonymous | get /version/ | 200 allow
 4s | 203.0.113.7 | anonymous | get /openid/v1/jwks | 200 allow
 5s | 203.0.113.7 | anonymous | get /.well-known/openid-configuration | 200 allow
 6s | 203.0.113.7 | anonymous | get /.well-known/oauth-authorization-server | 200 allow
 7s | 203.0.113.7 | anonymous | get /%68ealthz | 200 allow
 8s | 203.0.113.7 | anonymous | get //livez | 200 allow
 9s | 203.0.113.7 | anonymous | get /x/../healthz | 200 allow
""",
         verdict="quiet"),
    dict(name="anonymous-access-oauth",
         story="Only a login that failed is none of anonymous-access's: the "
               "login page, a login that succeeded and whatever else carries "
               "the annotation were let in.",
         events="""
 0s | 203.0.113.7 | anonymous | get /oauth/authorize?client_id=c | 302 allow | note authentication.openshift.io/decision=allow; note authentication.openshift.io/username=dana
 1s | 203.0.113.7 | anonymous | get /oauth/authorize?client_id=c | 401 allow | note authentication.openshift.io/decision=deny; note authentication.openshift.io/username=dana
 2s | 203.0.113.8 | anonymous | list /api/v1/secrets | 200 allow | note authentication.openshift.io/username=dana
""",
         verdict="""
medium anonymous-access/let_in client=203.0.113.7 class=read target=/oauth/authorize x1 0s..0s
critical anonymous-access/let_in client=203.0.113.8 class=read target=secrets x1 2s..2s
"""),
    dict(name="anonymous-probing-users",
         story="Ten requests under ten names of the unauthenticated group: the "
               "alert names none. Of nine others and ten of one name, 60 s "
               "later, it names that one.",
         events="""
 0s..9s x10 | 203.0.113.7 | guest{i} | list /api/v1/pods | 403 forbid | groups=system:unauthenticated
 0s..8s x9 | 203.0.113.8 | guest{i} | list /api/v1/pods | 403 forbid | groups=system:unauthenticated
 69s..78s x10 | 203.0.113.8 | guest | list /api/v1/pods | 403 forbid | groups=system:unauthenticated
""",
         verdict="""
low anonymous-probing/probing client=203.0.113.7 x10 0s..9s user:
low anonymous-probing/probing client=203.0.113.8 x10 69s..78s user:guest
"""),
    dict(name="anonymous-probing-oauth",
         story="Denied, but no failed login: 403, or 401 without the name that "
               "was tried.",
         events="""
 0s..11s x12 | 203.0.113.7 | anonymous | get /oauth/token | 403 forbid | note authentication.openshift.io/username=dana
 0s..11s x12 | 203.0.113.8 | anonymous | get /oauth/token | 401 | note authentication.openshift.io/decision=error
""",
         verdict="""
low anonymous-probing/probing client=203.0.113.7 x12 0s..11s
low anonymous-probing/probing client=203.0.113.8 x12 0s..11s
"""),
    dict(name="anonymous-access-public-slash",
         story="A trailing slash is optional behind the first four paths only; "
               "a path that the operator gives is exact.",
         config="public_paths: [/healthz, /openid/v1/jwks, /own, /other/]\n",
         events="""
 0s | 203.0.113.7 | anonymous | get /healthz/ | 200 allow
 1s | 203.0.113.7 | anonymous | get /openid/v1/jwks | 200 allow
 2s | 203.0.113.7 | anonymous | get /own | 200 allow
 3s | 203.0.113.7 | anonymous | get /other/ | 200 allow
 4s | 203.0.113.8 | anonymous | get /openid/v1/jwks/ | 200 allow
 5s | 203.0.113.8 | anonymous | get /own/ | 200 allow
 6s | 203.0.113.8 | anonymous | get /other | 200 allow
""",
         verdict="""
medium anonymous-access/let_in client=203.0.113.8 class=read target=/openid/v1 x1 4s..4s
medium anonymous-access/let_in client=203.0.113.8 class=read target=/own x1 5s..5s
medium anonymous-access/let_in client=203.0.113.8 class=read target=/other x1 6s..6s
"""),
    dict(name="anonymous-access-odd-stage",
         story="Without a stage, or with one of which nobody has heard, a "
               "request is judged as at its end; of a watch it is the end.",
         events="""
 0s | 203.0.113.7 | anonymous | list /api/v1/nodes | 200 allow | stage=
 1s | 203.0.113.7 | anonymous | list /api/v1/nodes | 200 allow | stage=Done; id=one
 1s | 203.0.113.7 | anonymous | list /api/v1/nodes | 200 allow | stage=ResponseComplete; id=one
 2s | 203.0.113.7 | anonymous | watch /api/v1/nodes | 200 allow | stage=Done
 3s | 203.0.113.7 | anonymous | list /api/v1/nodes | 200 allow | stage=RequestReceived
""",
         verdict="high anonymous-access/let_in client=203.0.113.7 class=read "
                 "target=nodes x3 0s..2s"),
    dict(name="innocent-own-public-path",
         story="A path that the operator calls public.",
         config="public_paths: [/healthz, /metrics]\n",
         events="""
 0s | 203.0.113.7 | anonymous | get /metrics | 200 allow
 1s | 203.0.113.7 | anonymous | get /healthz | 200 allow
""",
         verdict="quiet"),
    dict(name="innocent-impersonated-anonymous",
         story="dana tries what anonymous may do, by --as: the real user is "
               "dana.",
         events="""
 0s | 10.0.0.9 | dana | list /api/v1/secrets | 200 allow | as=anonymous
""",
         verdict="quiet"),
    dict(name="innocent-request-received",
         story="RequestReceived is never judged.",
         events="""
 0s | 203.0.113.7 | anonymous | list /api/v1/secrets | 200 | stage=RequestReceived
""",
         verdict="quiet"),
    dict(name="innocent-person",
         story="A person who authenticated lists secrets.",
         events="""
 0s | 203.0.113.7 | dana | list /api/v1/secrets | 200 allow
""",
         verdict="quiet"),
]

LOW = "low anonymous-probing/probing client=203.0.113.7"

PROBING = [
    dict(name="anonymous-probing-requests",
         story="Ten denied requests, the first and last just 60 s apart.",
         events="""
0s..60s x10 | 203.0.113.7 | anonymous | list /api/v1/pods | 403 forbid
""",
         verdict=f"{LOW} x10 0s..60s user:system:anonymous"),
    dict(name="anonymous-probing-paths",
         story="Five distinct paths are enough.",
         events="""
0s..60s x5 | 203.0.113.7 | anonymous | get /p{i} | 403 forbid
""",
         verdict=f"{LOW} x5 0s..60s"),
    dict(name="anonymous-probing-medium",
         story="A hundred within 60 s are medium; 99 are not.",
         events="""
0s..60s x100 | 203.0.113.7 | anonymous | list /api/v1/pods | 403 forbid
0s..60s x99 | 203.0.113.8 | anonymous | list /api/v1/pods | 403 forbid
""",
         verdict="""
medium anonymous-probing/probing client=203.0.113.7 x100 0s..60s
low anonymous-probing/probing client=203.0.113.8 x99 0s..60s
"""),
    dict(name="anonymous-probing-public-paths",
         story="Denied on public paths (anonymous-auth conditions) is denied "
               "too.",
         events="""
0s | 203.0.113.7 | anonymous | get /healthz | 403 forbid
1s | 203.0.113.7 | anonymous | get /livez | 403 forbid
2s | 203.0.113.7 | anonymous | get /readyz | 403 forbid
3s | 203.0.113.7 | anonymous | get /version | 403 forbid
4s | 203.0.113.7 | anonymous | get /openid/v1/jwks | 403 forbid
""",
         verdict=f"{LOW} x5 0s..4s"),
    dict(name="anonymous-probing-continues",
         story="A slow follower within ten minutes belongs to the episode.",
         events="""
0s..45s x10 | 203.0.113.7 | anonymous | list /api/v1/pods | 403 forbid
10m45s | 203.0.113.7 | anonymous | list /api/v1/pods | 403 forbid
20m45s1us | 203.0.113.7 | anonymous | list /api/v1/pods | 403 forbid
""",
         verdict=f"{LOW} x11 0s..10m45s resolved"),
    dict(name="anonymous-probing-window-outlasts-quiet",
         story="The window of an hour holds more than is kept one by one when "
               "the second episode begins: its count is that of the window, "
               "from its first request on.",
         config="detectors:\n  anonymous-probing: {threshold: 2, "
                "threshold_medium: 4, window: 1h, quiet: 1m}\n",
         events="""
0s..39s x14 | 203.0.113.7 | anonymous | list /api/v1/pods | 403 forbid
8m | 203.0.113.7 | anonymous | list /api/v1/pods | 403 forbid
""",
         verdict="""
medium anonymous-probing/probing client=203.0.113.7 x14 0s..39s user:system:anonymous resolved
medium anonymous-probing/probing client=203.0.113.7 x15 0s..8m user:system:anonymous
"""),
    dict(name="innocent-probing-too-slow",
         story="Ten requests over 60 s and a microsecond; five paths likewise.",
         events="""
0s..60s+1us x10 | 203.0.113.7 | anonymous | list /api/v1/pods | 403 forbid
0s..60s+1us x5 | 203.0.113.8 | anonymous | get /p{i} | 403 forbid
""",
         verdict="quiet"),
    dict(name="innocent-probing-below",
         story="Nine requests on four paths.",
         events="""
0s | 203.0.113.7 | anonymous | get /a | 403 forbid
1s | 203.0.113.7 | anonymous | get /b | 403 forbid
2s | 203.0.113.7 | anonymous | get /c | 403 forbid
3s..8s x6 | 203.0.113.7 | anonymous | get /d?page={i} | 403 forbid
""",
         verdict="quiet"),
    dict(name="innocent-probing-same-path",
         story="One path in five spellings is one path.",
         events="""
0s | 203.0.113.7 | anonymous | get /metrics | 403 forbid
1s | 203.0.113.7 | anonymous | get //metrics | 403 forbid
2s | 203.0.113.7 | anonymous | get /%6Detrics | 403 forbid
3s | 203.0.113.7 | anonymous | get /x/../metrics | 403 forbid
4s | 203.0.113.7 | anonymous | get /metrics?a=1 | 403 forbid
""",
         verdict="quiet"),
    dict(name="innocent-probing-twice-told",
         story="Five denied watches, each with its start and end, and each "
               "delivered twice.",
         events="\n".join(f"""
{i}s | 203.0.113.7 | anonymous | watch /api/v1/pods?watch=true | 403 forbid | id=w{i}; received={i}s; twice
{i}s+2ms | 203.0.113.7 | anonymous | watch /api/v1/pods?watch=true | 403 forbid | id=w{i}; received={i}s; stage=ResponseComplete; twice
""" for i in range(5)),
         verdict="quiet"),
    dict(name="innocent-probing-many-clients",
         story="Ten clients behind a trusted proxy, one denied request each.",
         config="networks: {trusted_proxies: [10.0.0.10/32]}\n",
         events="""
0s..9s x10 | 203.0.113.{i}, 10.0.0.10 | anonymous | list /api/v1/pods | 403 forbid
""",
         verdict="quiet"),
    dict(name="innocent-probing-named",
         story="Ten denied requests of somebody who authenticated.",
         events="""
0s..9s x10 | 203.0.113.7 | dana | list /api/v1/pods | 403 forbid
""",
         verdict="quiet"),
]

CASES = ACCESS + PROBING
