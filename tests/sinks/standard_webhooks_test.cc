#include "sinks/standard_webhooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace klaxon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The vector that the specification's reference libraries test themselves by.
TEST(SignWebhook, AgreesWithThePublishedVector) {
  const absl::StatusOr<std::string> key =
      WebhookKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->size(), 24u);
  EXPECT_EQ(SignWebhook(*key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                        R"({"test": 2432232314})"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(WebhookKey, DecodesWhatThePrefixAnnounces) {
  EXPECT_EQ(*WebhookKey("whsec_YWJj"), "abc");
  EXPECT_EQ(*WebhookKey("whsec_YWI="), "ab");
  EXPECT_EQ(*WebhookKey("whsec_YQ=="), "a");
  EXPECT_EQ(*WebhookKey("as it is\n"), "as it is\n");
}

TEST(WebhookKey, RefusesWithoutNamingTheSecret) {
  for (const char* secret : {"", "whsec_", "whsec_abc",
                             "whsec_ab*=", "whsec_abcde", "whsec_YWJj\n"}) {
    const absl::StatusOr<std::string> key = WebhookKey(secret);
    ASSERT_TRUE(absl::IsInvalidArgument(key.status())) << secret;
    if (std::string(secret).size() > 6) {
      EXPECT_THAT(std::string(key.status().message()),
                  Not(HasSubstr(std::string(secret).substr(6))));
    }
  }
}

}  // namespace
}  // namespace klaxon
