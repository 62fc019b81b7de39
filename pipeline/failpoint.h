// Places at which the crash driver (tests/kill) lets the process die.
//
// Compiled in with -DKLAXON_FAILPOINTS=ON alone. KLAXON_FAILPOINT=NAME:N in the
// environment kills the process, as SIGKILL does, when it comes to NAME for the
// N-th time. Any thread.
#pragma once

namespace klaxon {

#if defined(KLAXON_FAILPOINTS)
void HitFailpoint(const char* name);
#else
inline void HitFailpoint(const char*) {}
#endif

}  // namespace klaxon
