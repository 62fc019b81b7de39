#include "ingest/kafka_position.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>

#include "event/wire.h"

namespace klaxon {
namespace {

// "KK", then the version.
constexpr std::string_view kMagic = "KK";
constexpr uint64_t kVersion = 1;
constexpr std::string_view kLanePrefix = "kafka:";
// Audit events differ in their heads (auditID) and tails (timestamps), so a
// large record need not be hashed whole.
constexpr size_t kHashedBytes = 4096;

absl::Status Damaged(size_t bytes) {
  return absl::DataLossError(fmt::format(
      "the saved position ({} bytes) is not one of a Kafka partition, or is "
      "damaged. Restore the state directory, or start with an empty one (then "
      "`start` decides where reading begins)",
      bytes));
}

}  // namespace

KafkaMark MarkOfRecord(int64_t offset, int64_t timestamp_ms,
                       std::string_view key, std::string_view value) {
  std::string sizes;
  WireWriter w(&sizes);
  w.Uint(key.size());
  w.Uint(value.size());
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const auto add = [&](std::string_view bytes) {
    EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
  };
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  add(sizes);
  add(key.substr(0, kHashedBytes));
  add(value.substr(0, kHashedBytes));
  add(value.substr(value.size() - std::min(value.size(), kHashedBytes)));
  unsigned char digest[EVP_MAX_MD_SIZE];
  EVP_DigestFinal_ex(context.get(), digest, nullptr);
  KafkaMark mark{offset, timestamp_ms, {}};
  std::memcpy(mark.hash.data(), digest, mark.hash.size());
  return mark;
}

std::string EncodeKafkaPosition(const KafkaPosition& position) {
  std::string token(kMagic);
  WireWriter w(&token);
  w.Uint(kVersion);
  w.Int(position.next);
  w.Uint(position.within);
  w.Bool(position.last.has_value());
  if (position.last.has_value()) {
    const KafkaMark& last = *position.last;
    w.Int(last.offset);
    w.Int(last.timestamp_ms);
    w.Text({reinterpret_cast<const char*>(last.hash.data()), last.hash.size()});
  }
  return token;
}

absl::StatusOr<KafkaPosition> DecodeKafkaPosition(std::string_view token) {
  if (!token.starts_with(kMagic)) return Damaged(token.size());
  WireReader r(token.substr(kMagic.size()));
  const uint64_t version = r.Uint();
  if (r.ok() && version != kVersion) {
    return absl::FailedPreconditionError(fmt::format(
        "the saved position has format {}, this klaxon knows {}: it was "
        "written by a newer one. Run that, or start with an empty state "
        "directory (then `start` decides where reading begins)",
        version, kVersion));
  }
  KafkaPosition position;
  position.next = r.Int();
  position.within = r.Uint();
  if (r.Bool()) {
    KafkaMark& last = position.last.emplace();
    last.offset = r.Int();
    last.timestamp_ms = r.Int();
    const std::string_view hash = r.Text();
    if (hash.size() != last.hash.size()) return Damaged(token.size());
    std::memcpy(last.hash.data(), hash.data(), hash.size());
    if (last.offset < 0 || last.offset >= position.next) {
      return Damaged(token.size());
    }
  }
  if (!r.done() || position.next < 0) return Damaged(token.size());
  return position;
}

std::string KafkaLane(std::string_view source, std::string_view topic,
                      int32_t partition) {
  return fmt::format("{}{}{}{}/{}", kLanePrefix, source,
                     source.empty() ? "" : "/", topic, partition);
}

bool ParseKafkaLane(std::string_view lane, std::string_view source,
                    std::string* topic, int32_t* partition) {
  if (!lane.starts_with(kLanePrefix)) return false;
  lane.remove_prefix(kLanePrefix.size());
  if (!source.empty()) {
    if (!lane.starts_with(source)) return false;
    lane.remove_prefix(source.size());
    if (!lane.starts_with('/')) return false;
    lane.remove_prefix(1);
  }
  const size_t slash = lane.rfind('/');
  if (slash == lane.npos || slash == 0) return false;
  const std::string_view number = lane.substr(slash + 1);
  const char* const end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, *partition);
  if (error != std::errc() || stop != end || *partition < 0) return false;
  // No topic has a slash: it is the lane of a source with another name.
  if (lane.substr(0, slash).find('/') != lane.npos) return false;
  topic->assign(lane.substr(0, slash));
  return true;
}

}  // namespace klaxon
