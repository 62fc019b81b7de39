// Lines as a real kube-apiserver writes them, one of each shape, for tests of
// the decoder.
#pragma once

#include <array>
#include <string_view>

namespace klaxon {

inline constexpr std::array<std::string_view, 9> kSampleLines = {
    // A pod's service account; escapes in URI and reason.
    R"j({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"7a816b1e-0d3b-4e0b-9a44-1d9a0cbb4f10","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets?limit=500\u0026resourceVersion=0","verb":"list","user":{"username":"system:serviceaccount:shop:cart","uid":"5760a0fa-8b5a-4b1c-9f0e-0b0f1a2c3d4e","groups":["system:serviceaccounts","system:serviceaccounts:shop","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=6b1e9a40-7a3b-4c0f-8f39-0c6f0d1c2b3a"],"authentication.kubernetes.io/node-name":["worker-1"],"authentication.kubernetes.io/node-uid":["0b0f1a2c-3d4e-4b1c-9f0e-5760a0fa8b5a"],"authentication.kubernetes.io/pod-name":["cart-0"],"authentication.kubernetes.io/pod-uid":["9f0e0b0f-1a2c-3d4e-8b5a-5760a0fa4b1c"]}},"sourceIPs":["10.0.3.7"],"userAgent":"cart/v1 (linux/amd64)","objectRef":{"resource":"secrets","namespace":"shop","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-01-02T03:04:05.000123Z","stageTimestamp":"2026-01-02T03:04:05.004321Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"r/shop\" of Role \"r\" to ServiceAccount \"cart/shop\""}})j",
    // A failed authentication.
    R"j({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"0e0b0f1a-2c3d-4e8b-9a57-60a0fa4b1c00","stage":"ResponseStarted","requestURI":"/api/v1/pods","verb":"list","user":{},"sourceIPs":["203.0.113.7"],"userAgent":"curl/7.88.1","objectRef":{"resource":"pods","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401},"requestReceivedTimestamp":"2026-01-02T03:04:06.000001Z","stageTimestamp":"2026-01-02T03:04:06.000401Z"})j",
    // Anonymous, refused; several addresses; no objectRef.
    R"j({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"Lorem","stage":"ResponseComplete","requestURI":"/metrics","verb":"get","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"sourceIPs":["9.9.9.9","8.8.8.8","203.0.113.5"],"userAgent":"Mozilla/5.0 \"x\"","responseStatus":{"metadata":{},"status":"Failure","message":"forbidden: User \"system:anonymous\" cannot get path \"/metrics\"","reason":"Forbidden","details":{},"code":403},"requestReceivedTimestamp":"2026-01-02T03:04:07.500000Z","stageTimestamp":"2026-01-02T03:04:07.500100Z","annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}})j",
    // Impersonation, a body of each kind.
    R"j({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"1","stage":"ResponseComplete","requestURI":"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/x","verb":"patch","user":{"username":"oidc:eli@corp.example","groups":["oidc:admins","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=1"],"corp.example/amr":["pwd","otp"]}},"impersonatedUser":{"username":"root","groups":["system:masters","system:authenticated"],"extra":{"a":["{\"kind\":\"Event\"}"]}},"authenticationMetadata":{"impersonationConstraint":"impersonate:user-info"},"sourceIPs":["10.1.2.3"],"userAgent":"kubectl/v1.35.4","objectRef":{"resource":"clusterrolebindings","name":"x","uid":"u-1","apiGroup":"rbac.authorization.k8s.io","apiVersion":"v1","resourceVersion":"7"},"responseStatus":{"metadata":{},"code":200},"requestObject":[{"op":"add","path":"/subjects/-","value":{"kind":"User","name":"system:anonymous","note":"\\\"]}{[\\"}}],"responseObject":{"kind":"ClusterRoleBinding","metadata":{"name":"x","annotations":{"a":"line\none\u003ctwo"}},"subjects":[],"n":[1,-2.5e3,true,null]},"requestReceivedTimestamp":"2026-01-02T03:04:08.000000Z","stageTimestamp":"2026-01-02T03:04:08.001000Z","annotations":{"apiserver.latency.k8s.io/etcd":"1.2ms","authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed","mutation.webhook.admission.k8s.io/round_0_index_0":"{\"configuration\":\"x\",\"mutated\":false}"}})j",
    // exec: long-running, a subresource.
    R"j({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"2","stage":"ResponseStarted","requestURI":"/api/v1/namespaces/shop/pods/cart-0/exec?command=sh\u0026stdin=true","verb":"create","user":{"username":"kubernetes-admin","groups":["kubeadm:cluster-admins","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["X509SHA256=9836d1c0"]}},"sourceIPs":["::1"],"userAgent":"kubectl/v1.35.4 (linux/amd64) kubernetes/0123456 a very long user agent that goes on beyond one block of sixty-four bytes","objectRef":{"resource":"pods","namespace":"shop","name":"cart-0","apiVersion":"v1","subresource":"exec"},"responseStatus":{"metadata":{},"code":101},"requestReceivedTimestamp":"2026-01-02T03:04:09.000000Z","stageTimestamp":"2026-01-02T03:04:09.010000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}})j",
    // Just received: no status, no annotations.
    R"j({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"3","stage":"RequestReceived","requestURI":"/livez","verb":"get","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"sourceIPs":["10.0.0.1"],"requestReceivedTimestamp":"2026-02-28T23:59:59.999999Z","stageTimestamp":"2026-02-28T23:59:59.999999Z"})j",
    // A panic, and no address.
    R"j({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"4","stage":"Panic","requestURI":"/api","verb":"get","user":{"username":"a","uid":"b","groups":["c"]},"userAgent":"\u003cx\u003e","responseStatus":{"metadata":{},"status":"Failure","message":"APIServer panic'd: net/http: abort Handler","reason":"InternalError","code":500},"requestReceivedTimestamp":null,"stageTimestamp":"2026-01-02T03:04:10.000000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}})j",
    // EKS: extras before and behind the well-known ones.
    R"j({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"5","stage":"ResponseComplete","requestURI":"/apis","verb":"get","user":{"username":"arn","uid":"aws-iam-authenticator:1:A","groups":["system:authenticated"],"extra":{"accessKeyId":["AK"],"arn":["a","b"],"authentication.kubernetes.io/credential-id":["JTI=2"],"authentication.kubernetes.io/pod-name":["p"],"sessionName":["s"]}},"sourceIPs":["54.0.0.1"],"userAgent":"aws","responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-01-02T03:04:11.000000Z","stageTimestamp":"2026-01-02T03:04:11.000009Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"EKS Access Policy: allowed","k8s.io/deprecated":"true"}})j",
    // Not ASCII: in a name, in a body, in an escape.
    "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/"
    "v1\",\"level\":\"Request\",\"auditID\":\"6\",\"stage\":"
    "\"ResponseComplete\",\"requestURI\":\"/api/v1/"
    "x?q=\xc3\xa9\\ufffd\",\"verb\":\"update\",\"user\":{\"username\":"
    "\"m\xc3\xbcller\",\"groups\":[\"\xc3\x84rzte\"]},\"sourceIPs\":[\"10.0.0."
    "2\"],\"userAgent\":\"\\u2028\",\"objectRef\":{\"resource\":\"configmaps\","
    "\"namespace\":\"d\",\"name\":\"x\",\"apiVersion\":\"v1\"},"
    "\"responseStatus\":{\"metadata\":{},\"code\":200},\"requestObject\":{"
    "\"data\":{\"k\":\"\xe6\x97\xa5\xe6\x9c\xac "
    "\xf0\x9f\x98\x80\"}},\"requestReceivedTimestamp\":\"2026-01-02T03:04:12."
    "000000Z\",\"stageTimestamp\":\"2026-01-02T03:04:12.000009Z\","
    "\"annotations\":{\"authorization.k8s.io/"
    "decision\":\"allow\",\"authorization.k8s.io/reason\":\"\"}}",
};

}  // namespace klaxon
