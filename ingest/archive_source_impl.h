// MakeArchiveSource for tests: with system calls that can be made to fail.
#pragma once

#include <memory>

#include "ingest/archive_source.h"
#include "ingest/file_access.h"

namespace klaxon {

// `files` outlives the source.
std::unique_ptr<ArchiveSource> MakeArchiveSourceOver(ArchiveOptions options,
                                                     FileAccess* files);

}  // namespace klaxon
