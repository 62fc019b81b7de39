#!/usr/bin/env python3
"""clang-tidy over the sources within a budget: clang_tidy.py BUILD_DIR SECONDS.

Files that were clean are not looked at again as long as they and all headers
stay as they are. What changed since the last commit comes first. Files that
the budget does not reach are named; they do not fail the run.
"""

import concurrent.futures
import glob
import hashlib
import os
import subprocess
import sys
import time

FOLDERS = ('event', 'ingest', 'detectors', 'sinks', 'pipeline', 'app', 'bench')


def digest(paths):
    total = hashlib.sha256()
    for path in paths:
        with open(path, 'rb') as file:
            total.update(hashlib.sha256(file.read()).digest())
    return total.hexdigest()


def changed_files():
    done = subprocess.run(['git', 'diff', '--name-only', 'HEAD~1'], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return set(done.stdout.split())


def check(build_dir, path):
    done = subprocess.run(['clang-tidy-19', '-quiet', '-p', build_dir, path],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    return done.returncode == 0, done.stdout


def main():
    build_dir, budget_s = sys.argv[1], float(sys.argv[2])
    end = time.monotonic() + budget_s
    cache = os.path.join('build', 'clang-tidy')
    os.makedirs(cache, exist_ok=True)
    shared = digest(['.clang-tidy'] + sorted(
        path for folder in FOLDERS for path in glob.glob(folder + '/*.h')))
    changed = changed_files()
    sources = sorted((path for folder in FOLDERS for path in glob.glob(folder + '/*.cc')),
                     key=lambda path: (path not in changed, path))
    stamps = {path: os.path.join(cache, hashlib.sha256(
        (shared + digest([path]) + path).encode()).hexdigest()) for path in sources}
    todo = [path for path in sources if not os.path.exists(stamps[path])]
    bad, skipped = [], []

    def work(path):
        if time.monotonic() > end:
            skipped.append(path)
            return
        clean, output = check(build_dir, path)
        if clean:
            with open(stamps[path], 'wb'):
                pass
            return
        bad.append(path)
        print(output, flush=True)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, todo))
    print('clang-tidy: %d files, %d looked at, %d with findings, %d beyond the budget %s' %
          (len(sources), len(todo) - len(skipped), len(bad), len(skipped), ' '.join(skipped)))
    return 1 if bad or not sources else 0


if __name__ == '__main__':
    sys.exit(main())
