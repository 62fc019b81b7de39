#include "detectors/certificate_uses.h"

#include <algorithm>

namespace klaxon {
namespace {

std::string KeyOf(std::string_view user, std::string_view credential) {
  std::string key;
  WireWriter w(&key);
  w.Text(user);
  w.Text(credential);
  return key;
}

void Insert(CertificateUses::Entry entry,
            std::vector<CertificateUses::Entry>* entries) {
  // Nearly always the newest.
  entries->insert(std::lower_bound(entries->begin(), entries->end(), entry),
                  std::move(entry));
}

void Remove(const CertificateUses::Entry& entry,
            std::vector<CertificateUses::Entry>* entries) {
  const auto it = std::lower_bound(entries->begin(), entries->end(), entry);
  if (it != entries->end() && *it == entry) entries->erase(it);
}

}  // namespace

void CertificateUses::Order::Save(WireWriter* out) const {
  out->Bool(complete);
  out->Uint(entries.size());
  for (const Entry& e : entries) {
    out->Text(e.credential);
    out->Int(e.first_used);
  }
}

void CertificateUses::Order::Load(WireReader* in) {
  complete = in->Bool();
  entries.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    std::string credential(in->Text());
    entries.push_back({in->Int(), std::move(credential)});
  }
}

CertificateUses::CertificateUses(uint64_t keys_max)
    : uses_({.name = "old-certificate/uses", .keys_max = keys_max}),
      orders_({.name = "old-certificate/users", .keys_max = keys_max}) {}

const CertificateUses::Order& CertificateUses::Add(std::string_view user,
                                                   std::string_view credential,
                                                   EventTime used,
                                                   EventTime now,
                                                   EventTime* first_used) {
  const bool known_user = orders_.Find(user) != nullptr;
  Order& order = orders_.Touch(user, now);
  // This user may be one of those that were forgotten.
  if (!known_user) order.complete = orders_.evicted() == 0;
  // May change this very order: it is looked at afterwards.
  Use& use = uses_.Touch(
      KeyOf(user, credential), now,
      [this](std::string_view key, const Use& gone) { Forget(key, gone); });
  if (use.first == kNoTime || used < use.first) {
    Remove({use.first, std::string(credential)}, &order.entries);
    Insert({used, std::string(credential)}, &order.entries);
    use.first = used;
  }
  *first_used = use.first;
  Shorten(user, credential, &order);
  return order;
}

// Whoever can have certificates by the thousand (a name for each job of a
// pipeline) must not make every sighting of them take as long as they are many.
void CertificateUses::Shorten(std::string_view user,
                              std::string_view credential, Order* order) {
  if (order->entries.size() <= kUserMax) return;
  auto oldest = order->entries.begin();
  if (oldest->credential == credential) ++oldest;
  uses_.Erase(KeyOf(user, oldest->credential));
  order->entries.erase(oldest);
  order->complete = false;
}

void CertificateUses::Forget(std::string_view key, const Use& use) {
  WireReader r(key);
  Order* order = orders_.Find(r.Text());
  if (order == nullptr) return;
  order->complete = false;
  Remove({use.first, std::string(r.Text())}, &order->entries);
}

}  // namespace klaxon
