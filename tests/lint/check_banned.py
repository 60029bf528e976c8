#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Calls that a folder must not make.

On the way of a packet there is no allocation from the system, no lock, no system call, no clock, no
log and no formatted print. Files that set up (on the main or control thread), or that stand off
that way, are listed with what they may use and why.

Usage: check_banned.py ROOT
"""

import re
import sys

import source

GROUPS = {
    "memory": """malloc calloc realloc reallocarray free aligned_alloc posix_memalign memalign
                 strdup strndup mmap munmap mremap madvise""",
    "print": """printf fprintf sprintf snprintf vprintf vfprintf vsprintf vsnprintf dprintf asprintf
                puts fputs putchar perror fwrite""",
    "clock": """clock_gettime gettimeofday time localtime localtime_r gmtime gmtime_r strftime clock
                clock_now_ns clock_tsc clock_ns_of_tsc""",
    "sleep": "sleep usleep nanosleep clock_nanosleep sched_yield poll ppoll select epoll_wait",
    "lock": """pthread_mutex_lock pthread_mutex_trylock pthread_rwlock_rdlock pthread_rwlock_wrlock
               pthread_spin_lock pthread_cond_wait pthread_cond_timedwait pthread_join sem_wait
               mtx_lock call_once pthread_once""",
    "system": """open openat read write pread pwrite close ioctl fcntl socket bind listen accept
                 connect send recv sendto recvfrom sendmsg recvmsg fopen fclose fread fgets fsync
                 rename unlink syscall fork execve getenv system popen""",
    "log": "log_write log_debug log_verbose log_notice log_warning",
    "random": "rand srand random srandom drand48 getrandom secret_fill",
    "rcu": "rcu_wait synchronize_rcu call_rcu defer_rcu",
    "end": "exit _exit abort assert",
}

# Nowhere in the program: no bound, no error, hidden state, or a better one in base/.
EVERYWHERE = """strcpy strcat stpcpy gets sprintf vsprintf strtok atoi atol atoll atof alloca rand
                srand setjmp longjmp assert"""

HOT_FOLDERS = ("nic/ip/", "nic/tcp/", "dataplane/")

# What a file on the hot folders may use all the same, by group or by call, and why.
ALLOWED = {
    "dataplane/command/cmd_admit.c": ("snprintf", "the text of an error"),
    "dataplane/command/cmd_client.c": ("snprintf", "CLIENT LIST, on the control thread"),
    "dataplane/command/cmd_connection.c": ("calloc free", "names a client tells of itself, once"),
    "dataplane/command/cmd_counter.c": ("snprintf", "INCRBYFLOAT answers as printf does"),
    "dataplane/command/cmd_scan.c": ("realloc free", "KEYS and SCAN that find many keys"),
    "dataplane/command/cmd_util.c": ("calloc free", "commands with many keys; few need none"),
    "dataplane/command/reply.c": ("vsnprintf", "the text of an error"),
    "dataplane/proto/batch.c": ("aligned_alloc malloc free",
                                "session_host_init(), and requests of very many arguments"),
    "dataplane/proto/forward.c": ("malloc realloc free", "requests that leave the worker"),
    "dataplane/proto/memcache/mc_auth.c": ("calloc free", "the list, made by the control thread"),
    "dataplane/proto/memcache/mc_binary_stats.c": ("realloc free", "figures, written by the control thread"),
    "dataplane/proto/landing.c": ("calloc realloc free", "long arguments, once per some 32 KiB"),
    "dataplane/proto/memcache/mc_log.c": ("aligned_alloc free", "before and after the worker runs"),
    "dataplane/proto/memcache/mc_stats.c": ("vsnprintf", "stats, on the control thread"),
    "dataplane/proto/memcache/mc_udp.c": ("malloc free", "before and after the worker runs"),
    "dataplane/proto/resp/resp_reply.c": ("snprintf", "doubles, which RESP writes as printf does"),
    "dataplane/proto/stash.c": ("malloc free", "incomplete requests that no small buffer holds"),
    "dataplane/table/ahead.c": ("nanosleep pthread_join", "a thread of its own"),
    "dataplane/table/commit.c": ("malloc free", "commits of more keys than fit on the stack"),
    "dataplane/table/effects.c": ("aligned_alloc free madvise rcu_wait pthread_mutex_lock",
                                  "its begin and its end, on the control thread"),
    "dataplane/table/ghost.c": ("mmap munmap", "set-up"),
    "dataplane/table/index.c": ("mmap munmap madvise sched_yield",
                                "set-up; a lock's holder that has been preempted"),
    "dataplane/table/snapshot.c": ("aligned_alloc free rcu_wait",
                                   "its begin and its end, on the thread that writes the file"),
    "dataplane/table/lookup.c": ("malloc free", "reads of many keys, once optimism has failed"),
    "dataplane/table/memory.c": ("malloc calloc free snprintf",
                                 "the door to the allocator; arenas are made at start"),
    "dataplane/table/region.c": ("mmap madvise", "reserved at start"),
    "dataplane/table/scan.c": ("realloc", "buckets with very many items"),
    "dataplane/table/table.c": ("aligned_alloc free snprintf pthread_mutex_lock",
                                "table_new(), and threads that come and go"),
    "dataplane/worker/worker.c": ("aligned_alloc calloc free mmap munmap snprintf nanosleep "
                                  "pthread_join clock_now_ns", "start and stop, on the main thread"),
    "dataplane/worker/worker_idle.c": ("nanosleep", "poll-idle adaptive, offline"),
    "dataplane/worker/worker_loop.c": ("clock_tsc clock_ns_of_tsc", "where time is read"),
    "dataplane/worker/worker_mail.c": ("malloc free", "requests that leave the worker"),
    "dataplane/worker/worker_primary.c": ("snprintf", "why a connection to a primary has ended"),
    "dataplane/worker/worker_steer.c": ("calloc aligned_alloc free", "rings, before and after"),
    "dataplane/worker/worker_udp.c": ("calloc free", "before and after the worker runs"),
    "nic/tcp/tcp.c": ("calloc free", "tcp_new() and tcp_free(), before and after"),
    "nic/tcp/tcp_slab.c": ("mmap munmap madvise", "slabs, before and after"),
    "nic/ip/ip.c": ("malloc free", "ip_new() and ip_free(), before and after the worker runs"),
    "nic/ip/neigh.c": ("aligned_alloc free", "neigh_table_new() and _free(), before and after"),
    "nic/tcp/tcp.c": ("calloc free", "tcp_new() and tcp_free(), before and after the worker runs"),
    "nic/tcp/tcp_slab.c": ("mmap munmap madvise", "the pools of tcp_new() and tcp_free()"),
    "nic/ip/peer.c": ("aligned_alloc malloc free secret_fill", "ip_peers_init() and _fini()"),
}

CALL = re.compile(r"(?<![\w.>])([A-Za-z_]\w*)\s*\(")


def words(text):
    """The calls that a list of groups and calls stands for."""
    result = set()
    for word in text.split():
        result |= set(GROUPS[word].split()) if word in GROUPS else {word}
    return result


HOT = words(" ".join(GROUPS))


def banned_for(path):
    banned = words(EVERYWHERE)
    if path.startswith(HOT_FOLDERS):
        banned |= HOT
    return banned - words(ALLOWED.get(path, ("", ""))[0])


def check_text(path, text):
    code = source.without_directives(source.code_of(text))
    banned = banned_for(path)
    own = {function.name for function in source.functions(text)}
    return [f"{path}:{source.line_of(code, match.start(1))}: {match.group(1)}() is banned here"
            for match in CALL.finditer(code)
            if match.group(1) in banned and match.group(1) not in own]


def check(root):
    findings = []
    paths = source.files(root, ".c", ".h")
    for path in paths:
        if not path.startswith(("tests/", "perf/")):
            findings += check_text(path, source.read(root, path))
    findings += [f"check_banned.py: ALLOWED names {path}, which is not there"
                 for path in ALLOWED if path not in paths]
    return findings


if __name__ == "__main__":
    sys.exit(source.report("banned calls", check(sys.argv[1])))
