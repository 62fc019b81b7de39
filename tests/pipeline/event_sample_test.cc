#include "pipeline/event_sample.h"

#include <gtest/gtest.h>

namespace klaxon {
namespace {

TEST(MakeSample, ShowsNoCredential) {
  const char* uris[] = {
      "/api/v1/pods?limit=5&token=s3cr3t&watch=true",
      "/x?%74oken=s3cr3t",
      "/x?x=y?token=s3cr3t",
      "/x?a=1;token=s3cr3t",
      "/x#token=s3cr3t",
      "/proxy/token=s3cr3t",
      "/x?code=s3cr3t",
      "/x?url=http%3A%2F%2Fh%3Ftoken%3Ds3cr3t",
      "/x?api_key=s3cr3t&",
      "/eyJhbGciOiJSUzI1NiIsImtpZCI6InMzY3IzdCJ9.s3cr3t.s3cr3t"};
  for (const char* uri : uris) {
    EventView event;
    event.request_uri = uri;
    event.user_agent = "a eyJhbGciOiJSUzI1NiJ9.s3cr3t.s3cr3t b";
    event.stage_time = 0;
    const EventSample sample = MakeSample(event);
    EXPECT_EQ(sample.uri.find("s3cr3t"), std::string::npos) << sample.uri;
    EXPECT_EQ(sample.user_agent, "a REDACTED b");
  }
  EventView event;
  event.request_uri = uris[0];
  EXPECT_EQ(MakeSample(event).uri,
            "/api/v1/pods?limit=5&token=REDACTED&watch=true");
}

}  // namespace
}  // namespace klaxon
