"""forged-identity."""

POD = "list /api/v1/namespaces/shop/pods"
CART = "user=system:serviceaccount:shop:cart"

CASES = [
    dict(name="forged-certificate-for-account",
         story="A client certificate with an account's name, and with its "
               "groups.",
         events=f"""
0s | 10.0.0.9 | account shop/cart | {POD} | 200 allow | certificate=x
""",
         verdict="critical forged-identity/certificate_for_account "
                 f"{CART} credential_id=x x1 0s..0s "
                 "user:system:serviceaccount:shop:cart credential:x"),
    dict(name="forged-account-by-name-alone",
         story="A certificate with only the name: RBAC lets it in as the "
               "account. Two rules match, two alerts; service-account-external "
               "asks for the group and stays silent.",
         events=f"""
0s | 203.0.113.7 | system:serviceaccount:shop:cart | {POD} | 200 allow | certificate=x
""",
         verdict=f"""
critical forged-identity/certificate_for_account {CART} credential_id=x x1 0s..0s
critical forged-identity/account_without_groups {CART} credential_id=x x1 0s..0s
"""),
    dict(name="forged-account-without-groups",
         story="An account's name from another authenticator; with one of its "
               "two groups is as wrong as with none.",
         events=f"""
0s | 10.0.0.9 | system:serviceaccount:shop:cart | {POD} | 403 forbid | credential=JTI=1
1s | 10.0.0.9 | system:serviceaccount:shop:till | {POD} | 403 forbid | groups=system:serviceaccounts,system:serviceaccounts:bank,system:authenticated
""",
         verdict=f"""
critical forged-identity/account_without_groups {CART} credential_id:JTI=1 credential_id=JTI=1 x1 0s..0s
critical forged-identity/account_without_groups user=system:serviceaccount:shop:till credential_id= x1 1s..1s
"""),
    dict(name="forged-node-without-group",
         story="CN=system:node:n1 without O=system:nodes.",
         events="""
0s | 10.0.0.9 | system:node:n1 | get /api/v1/nodes/n1 | 403 forbid | certificate=x
""",
         verdict="critical forged-identity/node_without_group "
                 "user=system:node:n1 credential_id=x x1 0s..0s"),
    dict(name="forged-as-anonymous",
         story="A certificate with an account's name and the group of the "
               "anonymous: anonymous and forged.",
         events="""
0s | 203.0.113.7 | system:serviceaccount:shop:cart | list /api/v1/secrets | 200 allow | groups=system:unauthenticated; certificate=x
""",
         verdict="""
critical anonymous-access/let_in client=203.0.113.7 class=read target=secrets x1 0s..0s credential:x
critical forged-identity/certificate_for_account user=system:serviceaccount:shop:cart credential_id=x x1 0s..0s
critical forged-identity/account_without_groups user=system:serviceaccount:shop:cart credential_id=x x1 0s..0s
"""),
    dict(name="forged-among-genuine",
         story="A kubelet works, and within the same minute, without a "
               "credential id to tell them apart, one that lacks the group: "
               "counted is what is forged.",
         events="""
 1s..2s x2 | 10.0.0.7 | kubelet w1 | list /api/v1/pods | 200 allow
10s | 10.0.0.7 | system:node:w1 | list /api/v1/pods | 200 allow
20s | 10.0.0.7 | kubelet w1 | list /api/v1/pods | 200 allow
""",
         verdict="critical forged-identity/node_without_group "
                 "user=system:node:w1 credential_id= x1 10s..10s"),
    dict(name="forged-apiserver",
         story="system:apiserver over the network, by peer: claiming loopback "
               "does not help.",
         events=f"""
 0s | 127.0.0.1, 203.0.113.7 | system:apiserver | {POD} | 200 allow | groups=system:masters,system:authenticated; certificate=x
20s | 127.0.0.1, 203.0.113.7 | system:apiserver | {POD} | 200 allow | groups=system:masters,system:authenticated; certificate=x
""",
         verdict="critical forged-identity/apiserver_not_loopback "
                 "user=system:apiserver credential_id=x x2 0s..20s "
                 "claimed:127.0.0.1"),
    dict(name="forged-only-the-end",
         story="Of a forged account's watch only the end was kept: who it was "
               "stands there too.",
         events="""
20s | 10.0.0.9 | account shop/cart | watch /api/v1/pods?watch=true | 200 allow | certificate=x; received=0s; stage=ResponseComplete
""",
         verdict="critical forged-identity/certificate_for_account "
                 f"{CART} credential_id=x x1 20s..20s"),
    dict(name="innocent-genuine-identities",
         story="An account with its token, a legacy one, a kubelet with its "
               "certificate, kube-apiserver on loopback.",
         events=f"""
0s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | credential=JTI=1
1s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | legacy=cart-token
2s | 10.0.0.9 | kubelet n1 | get /api/v1/nodes/n1 | 200 allow | certificate=n
3s | ::1 | system:apiserver | get /api/v1/namespaces/default | 200 allow | groups=system:authenticated,system:masters
4s | 127.0.0.1 | system:apiserver | get /api/v1/namespaces/default | 200 allow | groups=system:authenticated,system:masters
""",
         verdict="quiet"),
    dict(name="innocent-no-groups-at-all",
         story="An export that drops all groups is not judged by them.",
         events=f"""
0s | 10.1.2.3 | account shop/cart | {POD} | 200 allow | groups=
1s | 10.0.0.9 | kubelet n1 | get /api/v1/nodes/n1 | 200 allow | groups=
""",
         verdict="quiet"),
    dict(name="innocent-impersonated-account",
         story="dana acts as an account and as a node, by certificate.",
         events=f"""
0s | 10.0.0.9 | dana | {POD} | 200 allow | as=account shop/cart; certificate=d
1s | 10.0.0.9 | dana | {POD} | 200 allow | as=system:node:n1; certificate=d
""",
         verdict="quiet"),
]
