#include "detectors/counted_text.h"

#include <cstring>
#include <new>

#include "detectors/small_pieces.h"

namespace klaxon {

CountedText::CountedText(std::string_view text)
    : held_(new(TakePiece(sizeof(Head) + text.size()))
                Head{1, static_cast<uint32_t>(text.size())}) {
  std::memcpy(held_ + 1, text.data(), text.size());
}

void CountedText::LetGo() {
  if (held_ == nullptr || --held_->holders > 0) return;
  GivePiece(held_, sizeof(Head) + held_->size);
}

}  // namespace klaxon
