/* Loaded by LD_PRELOAD: counts the calls that change files below one folder, and before the n-th kills the process,
 * fails, or waits. What is written through a mapping is not seen; that a file is mapped for writing is.
 *
 * fault_arm and fault_count are for ctypes; FAULT_ROOT, FAULT_AT, FAULT_ACTION (1 kill, 2 fail), FAULT_ERRNO,
 * FAULT_ONWARDS, FAULT_SPLIT and FAULT_LOG (a file) arm it when a process starts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

enum action { COUNT, KILL, FAIL };
/* What an operation needs decides which errors it can meet: a full disk still lets files be removed. */
enum need { SPACE = 1, NO_SPACE = 2 };

static char root[PATH_MAX];
static size_t root_length;
static int armed;
static long count, at;
static int action, error_number, onwards;
static size_t split_from; /* writes of so many bytes are two operations, half of the bytes each; 0: never */
static int log_fd = -1, ask_fd = -1, answer_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

PUBLIC void fault_arm(const char *folder, long number, int what, int error, int from_then_on, long split, int log,
                      int ask, int answer) {
    strncpy(root, folder, sizeof root - 1);
    root_length = strlen(root);
    count = 0;
    at = number;
    action = what;
    error_number = error;
    onwards = from_then_on;
    split_from = (size_t)split;
    log_fd = log;
    ask_fd = ask;
    answer_fd = answer;
    armed = root_length > 0;
}

PUBLIC long fault_count(void) { return count; }

static long setting(const char *name) {
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

__attribute__((constructor)) static void arm_by_environment(void) {
    const char *folder = getenv("FAULT_ROOT"), *log = getenv("FAULT_LOG");
    if (!folder || !*folder) return;
    int file = log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    fault_arm(folder, setting("FAULT_AT"), (int)setting("FAULT_ACTION"), (int)setting("FAULT_ERRNO"),
              (int)setting("FAULT_ONWARDS"), setting("FAULT_SPLIT"), file, -1, -1);
}

/* The path without `.`, `..` and doubled slashes; links are not followed. */
static void normalise(char *path) {
    char parts[PATH_MAX], *save = NULL, result[PATH_MAX] = "";
    strncpy(parts, path, sizeof parts - 1);
    parts[sizeof parts - 1] = 0;
    for (char *part = strtok_r(parts, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        if (!strcmp(part, ".")) continue;
        if (!strcmp(part, "..")) {
            char *slash = strrchr(result, '/');
            if (slash) *slash = 0;
            continue;
        }
        if (strlen(result) + strlen(part) + 2 > sizeof result) return;
        strcat(result, "/");
        strcat(result, part);
    }
    strcpy(path, result);
}

static int is_below(const char *path) {
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || path[root_length] == 0);
}

static int path_of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    const char *gone = " (deleted)";
    if ((size_t)length > strlen(gone) && !strcmp(path + length - strlen(gone), gone)) path[length - strlen(gone)] = 0;
    return path[0] == '/';
}

/* Whether a path, relative to an open folder, lies below the root; `full` is then where. */
static int below(int dirfd, const char *path, char *full) {
    if (!armed || !path) return 0;
    int kept = errno;
    if (path[0] == '/') {
        snprintf(full, PATH_MAX, "%s", path);
    } else {
        char base[PATH_MAX];
        int known = dirfd == AT_FDCWD ? getcwd(base, sizeof base) != NULL : path_of_fd(dirfd, base);
        if (!known || snprintf(full, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) full[0] = 0;
    }
    errno = kept;
    normalise(full);
    return is_below(full);
}

static int fd_below(int fd, char *full) {
    if (!armed || fd < 0) return 0;
    int kept = errno, found = path_of_fd(fd, full) && is_below(full);
    errno = kept;
    return found;
}

static int meets(int needs) {
    if (error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG) return needs & SPACE;
    return 1;
}

/* Counts an operation; 0, or the error that it is to fail with. */
static int before(const char *name, int needs, long size, const char *path) {
    int kept = errno, failure = 0;
    pthread_mutex_lock(&lock);
    long number = ++count;
    if (log_fd >= 0) {
        char line[PATH_MAX + 128];
        const char *shown = path[root_length] ? path + root_length + 1 : ".";
        int length = snprintf(line, sizeof line, "%ld\t%s\t%d\t%ld\t%s\n", number, name, needs, size, shown);
        syscall(SYS_write, log_fd, line, (size_t)length);
    }
    if (action == KILL && number == at) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) pause();
    }
    if (ask_fd >= 0 && (at == 0 || number == at)) {
        char byte = '?';
        syscall(SYS_write, ask_fd, &byte, 1);
        while (syscall(SYS_read, answer_fd, &byte, 1) < 0 && errno == EINTR) {
        }
    }
    if (action == FAIL && (number == at || (onwards && number > at)) && meets(needs)) failure = error_number;
    pthread_mutex_unlock(&lock);
    errno = kept;
    return failure;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define FAIL_WITH(value, ...) \
    do { \
        int failure = before(__VA_ARGS__); \
        if (failure) { \
            errno = failure; \
            return value; \
        } \
    } while (0)

/* Opening. */

static int changes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }
static const char *open_name(int flags) {
    return flags & O_TRUNC ? "open-truncate" : flags & O_CREAT ? "open-create" : "open-write";
}
static int open_needs(int flags) { return flags & O_CREAT ? SPACE : NO_SPACE; }

#define MODE(flags, last) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, last); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

#define OPEN(name) \
    PUBLIC int name(const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags, flags) \
        char full[PATH_MAX]; \
        if (changes(flags) && below(AT_FDCWD, path, full)) \
            FAIL_WITH(-1, open_name(flags), open_needs(flags), 0, full); \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    PUBLIC int name(int dirfd, const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags, flags) \
        char full[PATH_MAX]; \
        if (changes(flags) && below(dirfd, path, full)) \
            FAIL_WITH(-1, open_name(flags), open_needs(flags), 0, full); \
        return real(dirfd, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define CREAT(name) \
    PUBLIC int name(const char *path, mode_t mode) { \
        REAL(name); \
        char full[PATH_MAX]; \
        if (below(AT_FDCWD, path, full)) FAIL_WITH(-1, "open-truncate", SPACE, 0, full); \
        return real(path, mode); \
    }
CREAT(creat)
CREAT(creat64)

#define FOPEN(name) \
    PUBLIC FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        char full[PATH_MAX]; \
        if (strpbrk(mode, "wa+") && below(AT_FDCWD, path, full)) \
            FAIL_WITH(NULL, mode[0] == 'w' ? "open-truncate" : "open-write", SPACE, 0, full); \
        return real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* Writing. */

/* Before the second half of a write; an error there shows as a short write, as that of a full disk does. */
static int before_the_rest(long size, const char *path) {
    int failure = before("write-rest", SPACE, size, path);
    if (failure && !onwards) at = count + 1; /* the next call meets the error */
    return failure;
}

PUBLIC ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    char full[PATH_MAX];
    if (!size || !fd_below(fd, full)) return real(fd, data, size);
    FAIL_WITH(-1, "write", SPACE, (long)size, full);
    if (!split_from || size < split_from || size < 2) return real(fd, data, size);
    ssize_t first = real(fd, data, size / 2);
    if (first < 0 || before_the_rest((long)(size - (size_t)first), full)) return first;
    ssize_t rest = real(fd, (const char *)data + first, size - (size_t)first);
    return rest < 0 ? first : first + rest;
}

PUBLIC ssize_t writev(int fd, const struct iovec *parts, int number) {
    REAL(writev);
    char full[PATH_MAX];
    size_t size = 0;
    for (int part = 0; part < number; part++) size += parts[part].iov_len;
    if (!size || !fd_below(fd, full)) return real(fd, parts, number);
    FAIL_WITH(-1, "write", SPACE, (long)size, full);
    if (!split_from || size < split_from || size < 2) return real(fd, parts, number);
    /* A short write is allowed, and the caller goes on with the rest: that is the second half. */
    static __typeof__(write) *plain;
    if (!plain) plain = (__typeof__(write) *)dlsym(RTLD_NEXT, "write");
    int first = 0;
    while (!parts[first].iov_len) first++;
    return plain(fd, parts[first].iov_base, (parts[first].iov_len + 1) / 2);
}

#define PWRITE(name, offset_type) \
    PUBLIC ssize_t name(int fd, const void *data, size_t size, offset_type offset) { \
        REAL(name); \
        char full[PATH_MAX]; \
        if (size && fd_below(fd, full)) FAIL_WITH(-1, "write", SPACE, (long)size, full); \
        return real(fd, data, size, offset); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define SENDFILE(name, offset_type) \
    PUBLIC ssize_t name(int out, int in, offset_type *offset, size_t size) { \
        static ssize_t (*real)(int, int, offset_type *, size_t); \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name); \
        char full[PATH_MAX]; \
        if (fd_below(out, full)) FAIL_WITH(-1, "write", SPACE, (long)size, full); \
        return real(out, in, offset, size); \
    }
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

PUBLIC ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    REAL(copy_file_range);
    char full[PATH_MAX];
    if (fd_below(out, full)) FAIL_WITH(-1, "write", SPACE, (long)size, full);
    return real(in, from, out, to, size, flags);
}

#define MMAP(name, offset_type) \
    PUBLIC void *name(void *address, size_t size, int protection, int flags, int fd, offset_type offset) { \
        REAL(name); \
        char full[PATH_MAX]; \
        if ((protection & PROT_WRITE) && (flags & MAP_SHARED) && !(flags & MAP_ANONYMOUS) && fd_below(fd, full)) \
            FAIL_WITH(MAP_FAILED, "map", NO_SPACE, (long)size, full); \
        return real(address, size, protection, flags, fd, offset); \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

/* Sizes and flushing. */

#define ON_FD(name, label, needs, result, types, values, size) \
    PUBLIC result name types { \
        REAL(name); \
        char full[PATH_MAX]; \
        if (fd_below(fd, full)) FAIL_WITH(-1, label, needs, (long)(size), full); \
        return real values; \
    }
ON_FD(ftruncate, "truncate", NO_SPACE, int, (int fd, off_t length), (fd, length), length)
ON_FD(ftruncate64, "truncate", NO_SPACE, int, (int fd, off64_t length), (fd, length), length)
ON_FD(fsync, "fsync", SPACE, int, (int fd), (fd), 0)
ON_FD(fdatasync, "fsync", SPACE, int, (int fd), (fd), 0)
ON_FD(fallocate, "allocate", SPACE, int, (int fd, int how, off_t from, off_t length), (fd, how, from, length), length)
ON_FD(fallocate64, "allocate", SPACE, int, (int fd, int how, off64_t from, off64_t length), (fd, how, from, length),
      length)
ON_FD(fchmod, "chmod", NO_SPACE, int, (int fd, mode_t mode), (fd, mode), 0)
ON_FD(futimens, "touch", NO_SPACE, int, (int fd, const struct timespec times[2]), (fd, times), 0)

/* These two give the error back instead of setting errno. */
#define ALLOCATE(name, offset_type) \
    PUBLIC int name(int fd, offset_type from, offset_type length) { \
        REAL(name); \
        char full[PATH_MAX]; \
        if (fd_below(fd, full)) { \
            int failure = before("allocate", SPACE, (long)length, full); \
            if (failure) return failure; \
        } \
        return real(fd, from, length); \
    }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

/* Names. */

#define ON_PATH(name, label, needs, types, values, dirfd, path) \
    PUBLIC int name types { \
        REAL(name); \
        char full[PATH_MAX]; \
        if (below(dirfd, path, full)) FAIL_WITH(-1, label, needs, 0, full); \
        return real values; \
    }
ON_PATH(truncate, "truncate", NO_SPACE, (const char *path, off_t length), (path, length), AT_FDCWD, path)
ON_PATH(truncate64, "truncate", NO_SPACE, (const char *path, off64_t length), (path, length), AT_FDCWD, path)
ON_PATH(unlink, "unlink", NO_SPACE, (const char *path), (path), AT_FDCWD, path)
ON_PATH(unlinkat, flags & AT_REMOVEDIR ? "rmdir" : "unlink", NO_SPACE, (int dirfd, const char *path, int flags),
        (dirfd, path, flags), dirfd, path)
ON_PATH(remove, "unlink", NO_SPACE, (const char *path), (path), AT_FDCWD, path)
ON_PATH(rmdir, "rmdir", NO_SPACE, (const char *path), (path), AT_FDCWD, path)
ON_PATH(mkdir, "mkdir", SPACE, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
ON_PATH(mkdirat, "mkdir", SPACE, (int dirfd, const char *path, mode_t mode), (dirfd, path, mode), dirfd, path)
ON_PATH(symlink, "link", SPACE, (const char *target, const char *path), (target, path), AT_FDCWD, path)
ON_PATH(symlinkat, "link", SPACE, (const char *target, int dirfd, const char *path), (target, dirfd, path), dirfd, path)
ON_PATH(link, "link", SPACE, (const char *target, const char *path), (target, path), AT_FDCWD, path)
ON_PATH(linkat, "link", SPACE, (int from, const char *target, int dirfd, const char *path, int flags),
        (from, target, dirfd, path, flags), dirfd, path)
ON_PATH(chmod, "chmod", NO_SPACE, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
ON_PATH(fchmodat, "chmod", NO_SPACE, (int dirfd, const char *path, mode_t mode, int flags),
        (dirfd, path, mode, flags), dirfd, path)
ON_PATH(utimensat, "touch", NO_SPACE, (int dirfd, const char *path, const struct timespec times[2], int flags),
        (dirfd, path, times, flags), dirfd, path)
ON_PATH(utimes, "touch", NO_SPACE, (const char *path, const struct timeval times[2]), (path, times), AT_FDCWD, path)

#define RENAME(name, types, values, from_fd, from, to_fd, to) \
    PUBLIC int name types { \
        REAL(name); \
        char full[PATH_MAX]; \
        if (below(to_fd, to, full) || below(from_fd, from, full)) FAIL_WITH(-1, "rename", SPACE, 0, full); \
        return real values; \
    }
RENAME(rename, (const char *from, const char *to), (from, to), AT_FDCWD, from, AT_FDCWD, to)
RENAME(renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to), from_fd, from,
       to_fd, to)
RENAME(renameat2, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
       (from_fd, from, to_fd, to, flags), from_fd, from, to_fd, to)
