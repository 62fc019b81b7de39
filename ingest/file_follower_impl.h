// MakeFileFollower for tests: with system calls of their own.
#pragma once

#include <memory>

#include "ingest/file_follower.h"
#include "ingest/log_files.h"

namespace klaxon {

// `files` outlives the source. `use_inotify`: false as where it is used up.
std::unique_ptr<LiveSource> MakeFileFollowerOver(FollowOptions options,
                                                 LogFiles* files,
                                                 bool use_inotify);

}  // namespace klaxon
