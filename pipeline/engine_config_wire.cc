#include "pipeline/engine_config_wire.h"

#include <openssl/sha.h>

#include <utility>

#include "event/wire.h"

namespace klaxon {
namespace {

constexpr uint64_t kVersion = 1;

void PutCidrs(const std::vector<Cidr>& cidrs, WireWriter* w) {
  w->Uint(cidrs.size());
  for (const Cidr& cidr : cidrs) w->Text(cidr.ToString());
}

std::vector<Cidr> GetCidrs(WireReader* r, bool* ok) {
  std::vector<Cidr> cidrs;
  for (uint64_t n = r->Count(); n > 0; --n) {
    const std::optional<Cidr> cidr = Cidr::Parse(r->Text());
    if (cidr.has_value()) {
      cidrs.push_back(*cidr);
    } else {
      *ok = false;
    }
  }
  return cidrs;
}

void PutTexts(const std::vector<std::string>& texts, WireWriter* w) {
  w->Uint(texts.size());
  for (const std::string& text : texts) w->Text(text);
}

std::vector<std::string> GetTexts(WireReader* r) {
  std::vector<std::string> texts;
  for (uint64_t n = r->Count(); n > 0; --n) texts.emplace_back(r->Text());
  return texts;
}

void PutOption(const DetectorOptions& options, const OptionInfo& info,
               WireWriter* w) {
  switch (info.type) {
    case OptionType::kBool:
      return w->Bool(options.GetBool(info.name));
    case OptionType::kCount:
    case OptionType::kPercent:
      return w->Int(options.GetCount(info.name));
    case OptionType::kDuration:
      return w->Int(options.GetDuration(info.name));
    case OptionType::kTextList:
    case OptionType::kGlobList:
      return PutTexts(options.GetTexts(info.name), w);
    case OptionType::kCidrList:
      return PutCidrs(options.GetCidrs(info.name), w);
    case OptionType::kAllowList: {
      const auto& entries = options.GetAllowList(info.name);
      w->Uint(entries.size());
      for (const AllowEntry& entry : entries) {
        w->Text(entry.account);
        w->Text(entry.cidr.ToString());
        w->Int(entry.until);
      }
      return;
    }
  }
}

OptionValue GetOption(const OptionInfo& info, WireReader* r, bool* ok) {
  switch (info.type) {
    case OptionType::kBool:
      return r->Bool();
    case OptionType::kCount:
    case OptionType::kPercent:
      return r->Int();
    case OptionType::kDuration:
      return Duration{r->Int()};
    case OptionType::kTextList:
    case OptionType::kGlobList:
      return GetTexts(r);
    case OptionType::kCidrList:
      return GetCidrs(r, ok);
    case OptionType::kAllowList: {
      std::vector<AllowEntry> entries;
      for (uint64_t n = r->Count(); n > 0; --n) {
        AllowEntry& entry = entries.emplace_back();
        entry.account = r->Text();
        const std::optional<Cidr> cidr = Cidr::Parse(r->Text());
        if (cidr.has_value()) entry.cidr = *cidr;
        *ok = *ok && cidr.has_value();
        entry.until = r->Int();
      }
      return entries;
    }
  }
  return false;
}

void PutDetector(const DetectorInfo& info, const DetectorOptions& options,
                 WireWriter* w) {
  w->Bool(options.enabled);
  w->Uint(info.options.size());
  for (const OptionInfo& option : info.options) {
    w->Text(option.name);
    std::string value;
    WireWriter v(&value);
    PutOption(options, option, &v);
    w->Text(value);
  }
}

bool GetDetector(const DetectorInfo* info, WireReader* r,
                 DetectorOptions* options) {
  options->enabled = r->Bool();
  for (uint64_t n = r->Count(); n > 0; --n) {
    const std::string_view name = r->Text();
    WireReader value(r->Text());
    if (info == nullptr) continue;
    for (const OptionInfo& option : info->options) {
      if (option.name != name) continue;
      bool ok = true;
      OptionValue read = GetOption(option, &value, &ok);
      if (!ok || !value.done()) return false;
      options->Set(name, std::move(read));
    }
  }
  return r->ok();
}

void PutCertificate(const CertificateInfo& certificate, WireWriter* w) {
  w->Text(certificate.credential_id);
  w->Text(certificate.common_name);
  PutTexts(certificate.organizations, w);
  w->Int(certificate.not_before);
  w->Int(certificate.not_after);
  w->Text(certificate.origin);
}

void GetCertificate(WireReader* r, CertificateInfo* certificate) {
  certificate->credential_id = r->Text();
  certificate->common_name = r->Text();
  certificate->organizations = GetTexts(r);
  certificate->not_before = r->Int();
  certificate->not_after = r->Int();
  certificate->origin = r->Text();
}

void PutShared(const ClusterConfig& cluster, WireWriter* w) {
  PutCidrs(cluster.networks.internal.cidrs(), w);
  PutCidrs(cluster.networks.trusted_proxies.cidrs(), w);
  PutCidrs(cluster.networks.admin.cidrs(), w);
  PutTexts(cluster.public_paths, w);
}

void PutInventory(const ClusterConfig& cluster, WireWriter* w) {
  w->Uint(cluster.inventory.size());
  for (const CertificateInfo& c : cluster.inventory) PutCertificate(c, w);
}

void PutCluster(const ClusterConfig& cluster, WireWriter* w) {
  PutShared(cluster, w);
  PutInventory(cluster, w);
  w->Uint(cluster.detectors.size());
  for (const auto& [name, options] : cluster.detectors) {
    w->Text(name);
    PutDetector(*FindDetector(name), options, w);
  }
}

bool GetCluster(WireReader* r, ClusterConfig* cluster) {
  bool ok = true;
  *cluster = ClusterConfig::Defaults();
  cluster->networks.internal = CidrSet(GetCidrs(r, &ok));
  cluster->networks.trusted_proxies = CidrSet(GetCidrs(r, &ok));
  cluster->networks.admin = CidrSet(GetCidrs(r, &ok));
  cluster->public_paths = GetTexts(r);
  for (uint64_t n = r->Count(); n > 0; --n) {
    GetCertificate(r, &cluster->inventory.emplace_back());
  }
  for (uint64_t n = r->Count(); n > 0; --n) {
    const std::string_view name = r->Text();
    const DetectorInfo* info = FindDetector(name);
    DetectorOptions gone;
    DetectorOptions* options =
        info == nullptr ? &gone : &cluster->detectors.find(name)->second;
    if (!GetDetector(info, r, options)) return false;
  }
  return ok && r->ok();
}

}  // namespace

void EncodeTo(const EngineConfig& config, std::string* out) {
  WireWriter w(out);
  w.Uint(kVersion);
  w.Text(config.default_cluster);
  w.Uint(config.keys_max);
  w.Int(config.reorder.file);
  w.Int(config.reorder.kafka);
  w.Int(config.reorder.webhook);
  PutCluster(config.base, &w);
  w.Uint(config.clusters.size());
  for (const auto& [name, cluster] : config.clusters) {
    w.Text(name);
    PutCluster(cluster, &w);
  }
}

bool Decode(std::string_view bytes, EngineConfig* config) {
  WireReader r(bytes);
  if (r.Uint() != kVersion) return false;
  config->default_cluster = r.Text();
  config->keys_max = r.Uint();
  config->reorder.file = r.Int();
  config->reorder.kafka = r.Int();
  config->reorder.webhook = r.Int();
  if (!GetCluster(&r, &config->base)) return false;
  config->clusters.clear();
  for (uint64_t n = r.Count(); n > 0; --n) {
    const std::string name(r.Text());
    if (!GetCluster(&r, &config->clusters[name])) return false;
  }
  return r.done();
}

std::string DetectorHash(const ClusterConfig& cluster, uint64_t keys_max,
                         std::string_view detector) {
  std::string bytes;
  WireWriter w(&bytes);
  const DetectorInfo& info = *FindDetector(detector);
  w.Uint(keys_max);
  PutShared(cluster, &w);
  PutDetector(info, cluster.detectors.find(detector)->second, &w);
  for (const OptionInfo& option : info.options) {
    if (option.type == OptionType::kGlobList) PutInventory(cluster, &w);
  }
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

}  // namespace klaxon
