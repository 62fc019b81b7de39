#include "detectors/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// One key for all: only the certificates differ.
EVP_PKEY* TestKey() {
  static EVP_PKEY* const kKey = EVP_EC_gen("P-256");
  return kKey;
}

struct CertificateSpec {
  std::string common_name = "alice";
  std::vector<std::string> organizations;
  const char* not_before = "20260102030405Z";  // GeneralizedTime as written.
  const char* not_after = "20270102030405Z";
};

std::string MakeDer(const CertificateSpec& spec) {
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
  X509_NAME* name = X509_get_subject_name(certificate);
  auto add = [&](const char* field, const std::string& value) {
    X509_NAME_add_entry_by_txt(
        name, field, MBSTRING_UTF8,
        reinterpret_cast<const unsigned char*>(value.data()),
        static_cast<int>(value.size()), -1, 0);
  };
  for (const std::string& o : spec.organizations) add("O", o);
  if (!spec.common_name.empty()) add("CN", spec.common_name);
  EXPECT_EQ(
      ASN1_TIME_set_string(X509_getm_notBefore(certificate), spec.not_before),
      1);
  EXPECT_EQ(
      ASN1_TIME_set_string(X509_getm_notAfter(certificate), spec.not_after), 1);
  X509_set_pubkey(certificate, TestKey());
  EXPECT_GT(X509_sign(certificate, TestKey(), EVP_sha256()), 0);
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  X509_free(certificate);
  return bytes;
}

std::string Base64(const std::string& bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::string PemOf(const std::string& der,
                  const std::string& label = "CERTIFICATE") {
  const std::string base64 = Base64(der);
  std::string pem = "-----BEGIN " + label + "-----\n";
  for (size_t i = 0; i < base64.size(); i += 64) {
    pem += base64.substr(i, 64) + "\n";
  }
  return pem + "-----END " + label + "-----\n";
}

std::string FingerprintOf(const std::string& der) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(der.data()), der.size(),
         digest);
  std::string id = "X509SHA256=";
  for (unsigned char byte : digest) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

std::string KubeconfigOf(const std::string& user) {
  return "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n"
         "    server: https://x\nusers:\n- name: u\n  user:\n" +
         user;
}

std::vector<CertificateInfo> Parse(const std::string& bytes) {
  std::vector<std::string> referenced;
  std::vector<CertificateInfo> found = ParseCertificates(bytes, &referenced);
  EXPECT_THAT(referenced, IsEmpty());
  return found;
}

std::vector<std::string> NamesOf(const std::vector<CertificateInfo>& infos) {
  std::vector<std::string> names;
  for (const CertificateInfo& info : infos) names.push_back(info.common_name);
  return names;
}

TEST(ParseCertificates, SaysWhatKubernetesWouldMakeOfIt) {
  const std::string der =
      MakeDer({"system:node:worker-1", {"system:nodes", "b"}});
  const std::vector<CertificateInfo> found = Parse(PemOf(der));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].credential_id, FingerprintOf(der));
  EXPECT_EQ(found[0].common_name, "system:node:worker-1");
  EXPECT_THAT(found[0].organizations, ElementsAre("system:nodes", "b"));
  EXPECT_EQ(found[0].not_before, ParseTime("2026-01-02T03:04:05Z"));
  EXPECT_EQ(found[0].not_after, ParseTime("2027-01-02T03:04:05Z"));
  EXPECT_EQ(found[0].origin, "");
}

TEST(ParseCertificates, ReadsBothKindsOfTime) {
  struct Case {
    const char* asn1;
    EventTime want;
  };
  const Case cases[] = {
      {"500101000000Z", -631152000 * kSecond},  // UTCTime: 1950.
      {"491231235959Z", 2524607999 * kSecond},  // UTCTime: 2049.
      {"20500101000000Z", 2524608000 * kSecond},
      {"22611231235959Z", *ParseTime("2261-12-31T23:59:59Z")},
      {"22630101000000Z", kMaxTime},
      {"99991231235959Z", kMaxTime},  // "No well-defined expiration".
  };
  for (const Case& c : cases) {
    const std::vector<CertificateInfo> found =
        Parse(MakeDer({.not_after = c.asn1}));
    ASSERT_THAT(found, SizeIs(1)) << c.asn1;
    EXPECT_EQ(found[0].not_after, c.want) << c.asn1;
  }
}

TEST(ParseCertificates, ReadsDer) {
  const std::string der = MakeDer({"bob"});
  EXPECT_THAT(NamesOf(Parse(der)), ElementsAre("bob"));
  EXPECT_THAT(Parse(der + "x"), IsEmpty());
  EXPECT_THAT(Parse(der.substr(0, der.size() - 1)), IsEmpty());
}

TEST(ParseCertificates, PassesOverOtherAndDamagedBlocks) {
  const std::string a = PemOf(MakeDer({"a"}));
  const std::string b = PemOf(MakeDer({"b"}));
  std::string damaged = PemOf(MakeDer({"damaged"}));
  damaged[60] = '!';
  const std::string key = PemOf("not a key", "EC PRIVATE KEY");
  const std::string cut = a.substr(0, a.size() / 2);
  EXPECT_THAT(NamesOf(Parse("# comment\n" + key + a + damaged + cut + b + key)),
              ElementsAre("a", "b"));
  EXPECT_THAT(Parse(key), IsEmpty());
  EXPECT_THAT(Parse("-----BEGIN CERTIFICATE-----"), IsEmpty());
  // Windows line ends.
  std::string crlf;
  for (char c : a) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_THAT(NamesOf(Parse(crlf)), ElementsAre("a"));
  // Nothing stays in this thread's error queue for others to trip over.
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST(ParseCertificates, ReadsKubeconfigs) {
  const std::string data =
      Base64(PemOf(MakeDer({"admin", {"system:masters"}})));
  std::vector<std::string> referenced;
  const std::string both = KubeconfigOf("    client-certificate-data: " + data +
                                        "\n    client-certificate: ignored\n");
  EXPECT_THAT(NamesOf(ParseCertificates(both, &referenced)),
              ElementsAre("admin"));
  EXPECT_THAT(referenced, IsEmpty());
  EXPECT_THAT(ParseCertificates(both, nullptr), IsEmpty());

  const std::string file = KubeconfigOf(
      "    client-certificate: pki/a.crt\n- name: v\n  user:\n"
      "    client-certificate: /abs/b.crt\n- name: w\n");
  EXPECT_THAT(ParseCertificates(file, &referenced), IsEmpty());
  EXPECT_THAT(referenced, ElementsAre("pki/a.crt", "/abs/b.crt"));

  EXPECT_THAT(
      NamesOf(Parse(R"({"users":[{"user":{"client-certificate-data":")" + data +
                    "\"}}]}")),
      ElementsAre("admin"));
}

TEST(ParseCertificates, IsEmptyForAllElse) {
  for (const char* text : {
           "",
           "hello",
           "0",
           "client-certificate",
           "client-certificate: [",
           "users: {user: {client-certificate-data: x}}",
           "users: [client-certificate-data]",
           "users: [{user: [client-certificate-data]}]",
           "users: [{user: {client-certificate-data: '!!!'}}]",
           "users: [{user: {client-certificate-data: QUJD}}]",
           "users: [{user: {client-certificate-data: [x]}}]",
       }) {
    EXPECT_THAT(Parse(text), IsEmpty()) << text;
  }
}

TEST(ParseCertificates, SurvivesRandomDamage) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const std::string der = MakeDer({"x", {"y"}});
  const std::string inputs[] = {der, PemOf(der),
                                KubeconfigOf("    client-certificate-data: " +
                                             Base64(PemOf(der)) + "\n")};
  for (int i = 0; i < 6000; ++i) {
    std::string bytes = inputs[i % 3];
    for (uint64_t n = 1 + random() % 3; n > 0; --n) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    std::vector<std::string> referenced;
    for (const CertificateInfo& info : ParseCertificates(bytes, &referenced)) {
      ASSERT_THAT(info.credential_id, SizeIs(75));
    }
  }
}

class LoadInventoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/klaxon-inventory-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void Write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories(
        std::filesystem::path(dir_ + "/" + name).parent_path());
    std::ofstream(dir_ + "/" + name, std::ios::binary) << bytes;
  }
  std::vector<CertificateInfo> Load(const std::vector<std::string>& globs) {
    problems_.clear();
    return LoadInventory(globs, dir_, &problems_);
  }

  std::string dir_;
  std::vector<std::string> problems_;
};

TEST_F(LoadInventoryTest, ReadsGlobsSortedAndDistinct) {
  const std::string a = MakeDer({"a"});
  const std::string b = MakeDer({"b"});
  const std::string c = MakeDer({"c"});
  Write("1.crt", PemOf(a));
  Write("2.crt", PemOf(b) + PemOf(a));
  Write("sub/3.der", c);
  const std::vector<CertificateInfo> found =
      Load({"*.crt", dir_ + "/sub/3.der", "sub/*.der", "1.crt"});
  EXPECT_THAT(problems_, IsEmpty());
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_LT(found[0].credential_id, found[1].credential_id);
  EXPECT_LT(found[1].credential_id, found[2].credential_id);
  for (const CertificateInfo& info : found) {
    if (info.common_name == "a") {
      EXPECT_EQ(info.origin, dir_ + "/1.crt");
    }
  }
}

TEST_F(LoadInventoryTest, FollowsKubeconfigsFromWhereTheyLie) {
  Write("etc/admin.conf", KubeconfigOf("    client-certificate: pki/a.crt\n"));
  Write("etc/pki/a.crt", PemOf(MakeDer({"a"})));
  const std::vector<CertificateInfo> found = Load({"etc/*.conf"});
  EXPECT_THAT(problems_, IsEmpty());
  EXPECT_THAT(NamesOf(found), ElementsAre("a"));
  EXPECT_EQ(found[0].origin, dir_ + "/etc/pki/a.crt");
}

TEST_F(LoadInventoryTest, SaysWhatIsWrongWithEach) {
  Write("key.pem", PemOf("x", "PRIVATE KEY"));
  Write("token.conf", KubeconfigOf("    token: t\n"));
  Write("dangling.conf", KubeconfigOf("    client-certificate: no.crt\n"));
  Write("huge.crt", std::string((16 << 20) + 1, 'x'));
  Write("good.crt", PemOf(MakeDer({"good"})));
  std::filesystem::create_directory(dir_ + "/pki");
  ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  const std::vector<CertificateInfo> found =
      Load({"key.pem", "token.conf", "dangling.conf", "huge.crt", "pki",
            "none-*.crt", "absent.crt", "fifo", "good.crt"});
  EXPECT_THAT(NamesOf(found), ElementsAre("good"));
  EXPECT_THAT(problems_,
              ElementsAre(HasSubstr("key.pem: holds no certificate"),
                          HasSubstr("token.conf: holds no certificate"),
                          HasSubstr("no.crt: cannot be opened: No such file"),
                          HasSubstr("huge.crt: is larger than 16 MiB"),
                          HasSubstr("pki: is a directory"),
                          HasSubstr("none-*.crt: matches no file"),
                          HasSubstr("absent.crt: matches no file"),
                          HasSubstr("fifo: is not a regular file")));
}

TEST_F(LoadInventoryTest, TakesSymlinksAndOddNames) {
  Write("real/a.crt", PemOf(MakeDer({"a"})));
  Write("b[1].crt", PemOf(MakeDer({"b"})));
  std::filesystem::create_symlink("real/a.crt", dir_ + "/link.crt");
  std::filesystem::create_symlink("nowhere", dir_ + "/broken.crt");
  EXPECT_THAT(NamesOf(Load({"link.crt"})), ElementsAre("a"));
  EXPECT_THAT(NamesOf(Load({"b[1].crt"})), ElementsAre("b"));
  EXPECT_THAT(problems_, IsEmpty());
  EXPECT_THAT(Load({"broken.crt"}), IsEmpty());
  EXPECT_THAT(problems_, SizeIs(1));
}

}  // namespace
}  // namespace klaxon
