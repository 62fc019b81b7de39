// The line decoder on hostile bytes: no crash, no read beyond the padding, and
// the same answer with the fast path as without it, from every kernel.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "event/check_json.h"
#include "event/decode.h"
#include "event/decode_fast.h"
#include "tests/event/decode_dump.h"

namespace klaxon {
namespace {

void ExpectEqual(std::string_view what, const std::string& a,
                 const std::string& b) {
  if (a == b) return;
  std::fprintf(stderr, "%.*s differ:\n%s\n-------- against\n%s\n",
               static_cast<int>(what.size()), what.data(), a.c_str(),
               b.c_str());
  std::abort();
}

std::string RunKernel(const FastKernel& kernel, std::string_view line,
                      IdentityCache* identities = nullptr) {
  const PaddedText text(line);
  std::string arena(line.size() + kFastArenaSlack, '\0');
  FastScratch scratch;
  scratch.arena = arena.data();
  scratch.identities = identities;
  EventView view;
  const char* const begin = text.view().data();
  const char* const end = begin + text.view().size();
  const bool read = kernel.decode(begin, end, &scratch, &view) == end;
  std::string result = read ? Dump(view) : "not read";
  if (!line.empty() && (line.front() == '{' || line.front() == '[')) {
    const ValueEnd value = kernel.value_end(begin, end);
    const ptrdiff_t size = value.end == nullptr ? -1 : value.end - begin;
    result += std::to_string(size) + (value.deep ? " deep" : "") +
              (value.surrogates ? " surrogates" : "");
  }
  return result;
}

void Fuzz(std::string_view line) {
  const std::string first = RunKernel(FastKernels().front(), line);
  for (const FastKernel& kernel : FastKernels().subspan(1)) {
    ExpectEqual("kernels", first, RunKernel(kernel, line));
  }
  IdentityCache identities;  // Asked the second time for what it was told.
  for (int i = 0; i < 2; ++i) {
    ExpectEqual("with known identities", first,
                RunKernel(FastKernels().front(), line, &identities));
  }
  Decoder fast;
  Decoder slow(DecoderOptions{.slow_path_only = true});
  const Decoded decoded = DecodeOneLine(&fast, line);
  ExpectEqual("fast and slow path", DumpAll(decoded),
              DumpAll(DecodeOneLine(&slow, line)));
  ExpectEqual("fast and slow path at the end", DumpOutcome(fast.FinishStream()),
              DumpOutcome(slow.FinishStream()));
  const DecodeOutcome& outcome = decoded.outcome;
  if (outcome.quarantine_begin > outcome.quarantine_end ||
      outcome.quarantine_end > line.size()) {
    std::abort();
  }

  std::string what;
  if (CheckJson(line, &what) != line.size() && what.empty()) std::abort();
  const Decoded document = DecodeOneDocument(&fast, line);
  PositionOf(line, document.outcome.error_offset);
  const PaddedText text(line);
  const size_t half = line.size() / 2;
  fast.DecodeOversize(text.view().substr(0, half), text.view().substr(half),
                      line.size(), [](const EventView& event) {
                        if ((event.odd & kOddOversize) == 0) std::abort();
                      });
}

}  // namespace
}  // namespace klaxon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  klaxon::Fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
