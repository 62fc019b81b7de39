// Event text inside a command that a person may paste into a shell.
// Pure functions, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace klaxon {

// `text` as one word of a POSIX shell. Nothing if it holds control characters:
// no command should be made of it. The caller sees to it that a leading '-' is
// no flag ("--", or "--name=" before it).
std::optional<std::string> ShellQuote(std::string_view text);

}  // namespace klaxon
