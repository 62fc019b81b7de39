#include "detectors/counted_text.h"

#include <cstring>
#include <new>

namespace klaxon {

CountedText::CountedText(std::string_view text)
    : held_(new(::operator new(sizeof(Head) + text.size()))
                Head{1, static_cast<uint32_t>(text.size())}) {
  std::memcpy(held_ + 1, text.data(), text.size());
}

void CountedText::LetGo() {
  if (held_ != nullptr && --held_->holders == 0) ::operator delete(held_);
}

}  // namespace klaxon
