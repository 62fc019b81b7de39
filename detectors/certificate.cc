#include "detectors/certificate.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <tuple>

namespace klaxon {
namespace {

constexpr size_t kFileBytesMax = 16 << 20;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free>>;
using EncodeCtxPtr =
    std::unique_ptr<EVP_ENCODE_CTX, Deleter<EVP_ENCODE_CTX_free>>;

// kNoTime for what is no time; a year that EventTime cannot hold ("99991231",
// RFC 5280's "no well-defined expiration") is kMaxTime.
EventTime ToEventTime(const ASN1_TIME* asn1) {
  std::tm tm{};
  if (asn1 == nullptr || ASN1_TIME_to_tm(asn1, &tm) != 1) return kNoTime;
  const int64_t seconds = timegm(&tm);
  if (seconds >= kMaxTime / kSecond) return kMaxTime;
  if (seconds <= kNoTime / kSecond) return kNoTime;
  return seconds * kSecond;
}

std::string ToUtf8(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, text);
  if (size < 0) return {};
  std::string copy(reinterpret_cast<const char*>(utf8),
                   static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return copy;
}

std::string CredentialId(X509* certificate) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
  std::string id = "X509SHA256=";
  for (unsigned char byte : digest) {
    fmt::format_to(std::back_inserter(id), "{:02x}", byte);
  }
  return id;
}

CertificateInfo Describe(X509* certificate) {
  CertificateInfo info;
  info.credential_id = CredentialId(certificate);
  info.not_before = ToEventTime(X509_get0_notBefore(certificate));
  info.not_after = ToEventTime(X509_get0_notAfter(certificate));
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    std::string value = ToUtf8(X509_NAME_ENTRY_get_data(entry));
    // Of several names the last counts, as in Go's crypto/x509.
    if (nid == NID_commonName) {
      info.common_name = std::move(value);
    } else if (nid == NID_organizationName) {
      info.organizations.push_back(std::move(value));
    }
  }
  return info;
}

void AddIfAny(X509Ptr certificate, std::vector<CertificateInfo>* found) {
  if (certificate == nullptr) return;
  CertificateInfo info = Describe(certificate.get());
  if (!info.credential_id.empty()) found->push_back(std::move(info));
}

// Each block is handed to OpenSSL on its own: a damaged one costs only itself.
void ParsePem(std::string_view bytes, std::vector<CertificateInfo>* found) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  size_t begin = bytes.find(kBegin);
  while (begin != std::string_view::npos) {
    const size_t next = bytes.find(kBegin, begin + kBegin.size());
    const std::string_view block = bytes.substr(begin, next - begin);
    begin = next;
    if (block.size() > INT_MAX) continue;
    BioPtr bio(BIO_new_mem_buf(block.data(), static_cast<int>(block.size())));
    if (bio == nullptr) continue;
    // No callback may ask the terminal for a pass phrase.
    constexpr auto kNoPassPhrase = [](char*, int, int, void*) { return 0; };
    AddIfAny(
        X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, kNoPassPhrase, nullptr)),
        found);
  }
}

void ParseDer(std::string_view bytes, std::vector<CertificateInfo>* found) {
  if (bytes.size() > LONG_MAX) return;
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* end = at + bytes.size();
  X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(bytes.size())));
  if (at == end) AddIfAny(std::move(certificate), found);
}

std::optional<std::string> DecodeBase64(const std::string& text) {
  if (text.size() > kFileBytesMax) return std::nullopt;
  EncodeCtxPtr context(EVP_ENCODE_CTX_new());
  if (context == nullptr) return std::nullopt;
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  auto* out = reinterpret_cast<unsigned char*>(bytes.data());
  int size = 0;
  int tail = 0;
  EVP_DecodeInit(context.get());
  if (EVP_DecodeUpdate(context.get(), out, &size,
                       reinterpret_cast<const unsigned char*>(text.data()),
                       static_cast<int>(text.size())) < 0 ||
      EVP_DecodeFinal(context.get(), out + size, &tail) != 1) {
    return std::nullopt;
  }
  bytes.resize(static_cast<size_t>(size) + static_cast<size_t>(tail));
  return bytes;
}

// Text of `map[key]`, or empty.
std::string ScalarOf(const YAML::Node& map, const char* key) {
  if (!map.IsMap()) return {};
  const YAML::Node value = map[key];
  return value && value.IsScalar() ? value.Scalar() : std::string();
}

void ParseKubeconfig(std::string_view bytes,
                     std::vector<CertificateInfo>* found,
                     std::vector<std::string>* referenced) {
  // YAML is slow and recursive: only for what may be a kubeconfig.
  if (bytes.find("client-certificate") == std::string_view::npos) return;
  try {
    const YAML::Node config = YAML::Load(std::string(bytes));
    if (!config.IsMap()) return;
    const YAML::Node users = config["users"];
    if (!users || !users.IsSequence()) return;
    for (const YAML::Node& entry : users) {
      if (!entry.IsMap() || !entry["user"]) continue;
      const YAML::Node user = entry["user"];
      const std::string data = ScalarOf(user, "client-certificate-data");
      const std::string file = ScalarOf(user, "client-certificate");
      // As in client-go, the data override the file.
      if (!data.empty()) {
        if (auto pem = DecodeBase64(data)) ParsePem(*pem, found);
      } else if (!file.empty()) {
        referenced->push_back(file);
      }
    }
  } catch (const YAML::Exception&) {
    // No YAML, so no kubeconfig: the caller sees that nothing was found.
  }
}

// Whole contents, or a sentence of why not.
std::optional<std::string> ReadSmallFile(const std::string& path,
                                         std::string* problem) {
  // Non-blocking, lest a FIFO holds us up.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    *problem =
        fmt::format("{}: cannot be opened: {}.", path, std::strerror(errno));
    return std::nullopt;
  }
  struct Closer {
    int fd;
    ~Closer() { close(fd); }
  } closer{fd};
  struct stat status{};
  if (fstat(fd, &status) != 0) {
    *problem = fmt::format("{}: {}.", path, std::strerror(errno));
    return std::nullopt;
  }
  if (S_ISDIR(status.st_mode)) {
    *problem = fmt::format(
        "{0}: is a directory; name the files in it, as in {0}/*.crt.", path);
    return std::nullopt;
  }
  if (!S_ISREG(status.st_mode)) {
    *problem = fmt::format("{}: is not a regular file.", path);
    return std::nullopt;
  }
  std::string bytes;
  char buffer[64 << 10];
  while (true) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      *problem =
          fmt::format("{}: cannot be read: {}.", path, std::strerror(errno));
      return std::nullopt;
    }
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(got));
    if (bytes.size() > kFileBytesMax) {
      *problem = fmt::format(
          "{}: is larger than 16 MiB, which no certificate is.", path);
      return std::nullopt;
    }
  }
}

std::string Join(const std::string& dir, const std::string& path) {
  if (path.empty() || path[0] == '/' || dir.empty()) return path;
  return dir.back() == '/' ? dir + path : dir + "/" + path;
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Reads files, each once.
class InventoryLoader {
 public:
  explicit InventoryLoader(std::vector<std::string>* problems)
      : problems_(problems) {}

  void AddGlob(const std::string& pattern) {
    // A file that is really called so wins over what its name would match.
    if (access(pattern.c_str(), F_OK) == 0) {
      AddFile(pattern);
      return;
    }
    glob_t matches{};
    const int result = glob(pattern.c_str(), 0, nullptr, &matches);
    if (result == 0) {
      for (size_t i = 0; i < matches.gl_pathc; ++i) {
        AddFile(matches.gl_pathv[i]);
      }
    } else {
      problems_->push_back(fmt::format("{}: matches no file.", pattern));
    }
    globfree(&matches);
  }

  std::vector<CertificateInfo> Take() {
    auto by_id_then_origin = [](const CertificateInfo& a,
                                const CertificateInfo& b) {
      return std::tie(a.credential_id, a.origin) <
             std::tie(b.credential_id, b.origin);
    };
    auto same_id = [](const CertificateInfo& a, const CertificateInfo& b) {
      return a.credential_id == b.credential_id;
    };
    std::sort(found_.begin(), found_.end(), by_id_then_origin);
    found_.erase(std::unique(found_.begin(), found_.end(), same_id),
                 found_.end());
    return std::move(found_);
  }

 private:
  void AddFile(const std::string& path) {
    std::vector<std::string> referenced;
    const bool any = Read(path, &referenced);
    // What a kubeconfig names is a certificate, never another kubeconfig.
    for (const std::string& file : referenced) {
      const std::string full = Join(DirectoryOf(path), file);
      if (!Read(full, nullptr)) NoCertificate(full);
    }
    if (!any && referenced.empty()) NoCertificate(path);
  }

  // False: read, and without a certificate.
  bool Read(const std::string& path, std::vector<std::string>* referenced) {
    if (!visited_.insert(path).second) return true;
    std::string problem;
    std::optional<std::string> bytes = ReadSmallFile(path, &problem);
    if (!bytes) {
      problems_->push_back(std::move(problem));
      return true;
    }
    std::vector<CertificateInfo> here = ParseCertificates(*bytes, referenced);
    for (CertificateInfo& info : here) {
      info.origin = path;
      found_.push_back(std::move(info));
    }
    return !here.empty();
  }

  void NoCertificate(const std::string& path) {
    problems_->push_back(fmt::format(
        "{}: holds no certificate (PEM, DER or kubeconfig).", path));
  }

  std::vector<std::string>* problems_;
  std::set<std::string> visited_;
  std::vector<CertificateInfo> found_;
};

bool MatchesAny(const std::string& pattern) {
  glob_t matches{};
  const bool any = glob(pattern.c_str(), 0, nullptr, &matches) == 0;
  globfree(&matches);
  return any;
}

}  // namespace

std::vector<CertificateInfo> ParseCertificates(
    std::string_view bytes, std::vector<std::string>* referenced) {
  std::vector<CertificateInfo> found;
  if (bytes.empty()) return found;
  if (bytes.find("-----BEGIN ") != std::string_view::npos) {
    ParsePem(bytes, &found);
  } else if (bytes[0] == 0x30) {  // SEQUENCE; a kubeconfig begins otherwise.
    ParseDer(bytes, &found);
  }
  if (found.empty() && referenced != nullptr) {
    ParseKubeconfig(bytes, &found, referenced);
  }
  // Failed attempts stay in OpenSSL's queue of this thread otherwise.
  ERR_clear_error();
  return found;
}

std::vector<CertificateInfo> LoadInventory(
    const std::vector<std::string>& globs, const std::string& base_dir,
    std::vector<std::string>* problems) {
  InventoryLoader loader(problems);
  for (const std::string& pattern : globs) {
    // Beside the configuration file first; then where klaxon was started, as a
    // path typed into a generated configuration means.
    const std::string beside = Join(base_dir, pattern);
    loader.AddGlob(!MatchesAny(beside) && MatchesAny(pattern) ? pattern
                                                              : beside);
  }
  return loader.Take();
}

}  // namespace klaxon
