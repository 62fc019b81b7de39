#include "event/path.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "event/networks.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

std::string Normalized(std::string_view uri) {
  std::string buffer = "left over";
  return std::string(NormalizePath(uri, &buffer));
}

// The same by the book: cut, decode, split into segments, keep a stack.
std::string ModelNormalize(const std::string& uri) {
  const std::string raw = uri.substr(0, uri.find('?'));
  std::string decoded;
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '%' && i + 2 < raw.size() && std::isxdigit(raw[i + 1]) &&
        std::isxdigit(raw[i + 2])) {
      decoded += static_cast<char>(
          std::strtol(raw.substr(i + 1, 2).c_str(), nullptr, 16));
      i += 2;
    } else {
      decoded += raw[i];
    }
  }
  std::vector<std::string> stack;
  std::string segment;
  bool directory = true;  // Whether the path ends in a slash.
  auto finish = [&](bool slash) {
    if (segment == "..") {
      if (!stack.empty()) stack.pop_back();
      directory = true;
    } else if (segment.empty() || segment == ".") {
      directory = true;
    } else {
      stack.push_back(segment);
      directory = slash;
    }
    segment.clear();
  };
  for (char c : decoded) {
    if (c == '/') {
      finish(true);
    } else {
      segment += c;
    }
  }
  finish(false);
  std::string path = "/";
  for (size_t i = 0; i < stack.size(); ++i) {
    path += stack[i];
    if (i + 1 < stack.size() || directory) path += '/';
  }
  return path;
}

TEST(NormalizePath, DecodesOnceAndCollapses) {
  struct Case {
    const char* uri;
    const char* want;
  };
  const Case cases[] = {
      {"/api/v1/pods?limit=500", "/api/v1/pods"},
      {"/a/./b//../c?x=1", "/a/c"},
      {"", "/"},
      {"/", "/"},
      {"?x", "/"},
      {"*", "/*"},
      {"api", "/api"},
      {"/a/", "/a/"},
      {"/a//", "/a/"},
      {"//a", "/a"},
      {"/a/.", "/a/"},
      {"/a/b/..", "/a/"},
      {"/..", "/"},
      {"/../../a", "/a"},
      {"/a/../../b", "/b"},
      {"/a/...", "/a/..."},
      {"/a/..b/.c", "/a/..b/.c"},
      {"/livez%2fetcd", "/livez/etcd"},
      {"/a/%2e%2E/b", "/b"},
      {"/healthz%3Fx", "/healthz?x"},
      {"/a?b/../c", "/a"},
      {"/a%252fb", "/a%2fb"},  // Once.
      {"/a%zz", "/a%zz"},
      {"/a%", "/a%"},
      {"/a%2", "/a%2"},
      {"/%61pi", "/api"},
      {"/a%00b", nullptr},
      {"/.well-known/openid-configuration",
       "/.well-known/openid-configuration"},
  };
  for (const Case& c : cases) {
    if (c.want == nullptr) {
      EXPECT_EQ(Normalized(c.uri), std::string("/a\0b", 4));
    } else {
      EXPECT_EQ(Normalized(c.uri), c.want) << c.uri;
    }
  }
}

TEST(NormalizePath, AgreesWithASegmentStack) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const std::string parts[] = {"/",   "/",   "/",   ".",   "..",  "a",
                               "api", "%2e", "%2F", "%",   "%4",  "%zz",
                               "?",   "%25", "b-c", "é",   "v1",  "%2e%2e",
                               "0",   ".a",  "//",  "pod", "/./", "/../"};
  for (int i = 0; i < 300'000; ++i) {
    std::string uri = random() % 8 ? "/" : "";
    for (uint64_t n = random() % 12; n > 0; --n) {
      uri += parts[random() % std::size(parts)];
    }
    const std::string path = Normalized(uri);
    ASSERT_EQ(path, ModelNormalize(uri)) << uri;
    // What was decoded may look escaped; else the result is a fixed point.
    if (path.find_first_of("%?") == std::string::npos) {
      ASSERT_EQ(Normalized(path), path) << uri;
    }
  }
}

// Every place that the word-wise scan may look at.
TEST(NormalizePath, FindsDotsAtEveryOffset) {
  for (size_t size = 1; size < 40; ++size) {
    for (const char* bad : {"//", "/./", "/../"}) {
      const std::string uri = "/" + std::string(size, 'x') + bad + "y";
      EXPECT_EQ(Normalized(uri), ModelNormalize(uri)) << uri;
    }
    for (const char* good : {"/x", "x.", "0/", "/-", "/0"}) {
      const std::string uri = "/" + std::string(size, 'x') + good + "y";
      EXPECT_EQ(Normalized(uri), uri);
    }
  }
}

TEST(IsPublicPath, AcceptsExactlyTheList) {
  const std::vector<std::string> paths = DefaultPublicPaths();
  for (const char* path :
       {"/healthz", "/livez", "/readyz", "/version", "/healthz/", "/livez/",
        "/readyz/", "/version/", "/openid/v1/jwks",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server"}) {
    EXPECT_TRUE(IsPublicPath(path, paths)) << path;
  }
  for (const char* path :
       {"/", "", "/livez/etcd", "/healthz/ping", "/versions", "/api",
        "/openid/v1", "/Healthz", "healthz", "/openid/v1/jwks/",
        "/.well-known/openid-configuration/"}) {
    EXPECT_FALSE(IsPublicPath(path, paths)) << path;
  }
  const std::vector<std::string> own = {"/status/", "/"};
  EXPECT_FALSE(IsPublicPath("/status", own));
  EXPECT_TRUE(IsPublicPath("/status/", own));
  EXPECT_FALSE(IsPublicPath("/healthz", own));
  EXPECT_TRUE(IsPublicPath("/", own));
}

TEST(FirstTwoSegments, CutsBehindTheSecond) {
  struct Case {
    const char* path;
    const char* want;
  };
  const Case cases[] = {
      {"/apis/apps/v1", "/apis/apps"},
      {"/apis/apps", "/apis/apps"},
      {"/apis/apps/", "/apis/apps"},
      {"/apis", "/apis"},
      {"/apis/", "/apis"},
      {"/", "/"},
      {"", ""},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(FirstTwoSegments(c.path), c.want) << c.path;
  }
}

TEST(IsDiscoveryPath, IsWhatNamesNoResource) {
  for (const char* path :
       {"/api", "/api/", "/api/v1", "/api/v1/", "/apis", "/apis/apps",
        "/apis/apps/v1", "/apis/apps/v1/", "/openapi", "/openapi/v2",
        "/openapi/v3/apis/apps/v1", "/version", "/version/", "/healthz",
        "/livez", "/readyz"}) {
    EXPECT_TRUE(IsDiscoveryPath(path)) << path;
  }
  for (const char* path :
       {"/", "", "/api/v1/pods", "/apis/apps/v1/deployments", "/apix",
        "/livez/etcd", "/healthz/ping", "/version/x", "/metrics", "/openapix",
        "/logs/", "api"}) {
    EXPECT_FALSE(IsDiscoveryPath(path)) << path;
  }
}

}  // namespace
}  // namespace klaxon
