#include "app/make_key.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

std::string KeyOf(const std::string& name, const std::string& value) {
  return KeyWriter().AddKafkaProperty(name, value).bytes();
}

TEST(KeyWriterTest, CertificateExchangedInPlaceIsAnotherKey) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/ca.pem";
  std::ofstream(path) << "first";
  const std::string first = KeyOf("ssl.ca.location", path);
  EXPECT_EQ(KeyOf("ssl.ca.location", path), first);
  std::ofstream(path) << "other";
  EXPECT_NE(KeyOf("ssl.ca.location", path), first);
  // What names no file is not read.
  const std::string topic = KeyOf("client.id", path);
  std::ofstream(path) << "third";
  EXPECT_EQ(KeyOf("client.id", path), topic);
}

TEST(KeyWriterTest, FolderAndMissingFileHaveNoContents) {
  const TemporaryDirectory dir;
  EXPECT_EQ(ContentsOf(dir.path()), "");
  EXPECT_EQ(ContentsOf(dir.path() + "/none"), "");
  EXPECT_NE(KeyOf("ssl.ca.location", dir.path()),
            KeyOf("ssl.ca.location", "probe"));
}

}  // namespace
}  // namespace klaxon
