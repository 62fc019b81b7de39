// The readable event in a line too long to keep: everything before the bodies
// stands in its head, stamps and annotations in its tail.
// Pure function, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace klaxon {

// The event without its bodies, as JSON; nothing where head and tail do not
// show it whole.
//
// The bodies begin at the first member requestObject or responseObject of the
// outermost object. What follows them begins at the last
// ,"requestReceivedTimestamp": of the line: a body can hold these bytes too,
// but the event's own come after it, and in what comes after them quotes are
// escaped.
std::optional<std::string> JoinOversize(std::string_view head,
                                        std::string_view tail);

}  // namespace klaxon
