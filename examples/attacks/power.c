/* A disk that loses power, as a library for LD_PRELOAD.
 *
 * Every write to a file of the data folder is noted with the bytes before and after it, every sync with what it
 * covers. When the server is started again, what was not synced is taken back: sectors of every write each for itself,
 * lengths too, so that a part of a write may be there, and a later write without an earlier one. Names are taken as
 * durable at once; the recorded runs of the log's own tests cover those.
 *
 * POWER_SEED       where the random numbers begin.
 * POWER_NO_SYNC    files whose name ends so are never synced: what a forgotten sync would be.
 *
 * It acts in processes of `gochat serve --data-dir DIR` only, and keeps its notes in DIR.power. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE = 1, LENGTH = 2, SYNC = 3, SECTOR = 512 };

struct note {
    uint64_t kind, inode, at, bytes, before, old, number;
};

static char folder[PATH_MAX], notes_path[PATH_MAX + 16];
static int notes = -1;
static uint64_t number, dice_state;
static const char *no_sync;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

static uint64_t dice(uint64_t below) {
    uint64_t z = dice_state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % below;
}

static void die(const char *what) {
    perror(what);
    abort();
}

static void put(const void *bytes, size_t n) {
    if (n && real_write(notes, bytes, n) != (ssize_t)n) die("power: notes");
}

/* Bytes of a note with what follows it. */
static size_t size_of(const struct note *note) {
    return sizeof *note + (note->old + (note->kind == WRITE ? note->bytes : 0) + 7) / 8 * 8;
}

static void put_note(const struct note *note, const void *before, const void *bytes) {
    static const char zeros[8];
    size_t n = note->kind == WRITE ? note->bytes : 0;
    put(note, sizeof *note);
    put(before, note->old);
    put(bytes, n);
    put(zeros, size_of(note) - sizeof *note - note->old - n);
}

/* The bytes of a file that a write or a cut takes away. A descriptor that reads is used itself: closing another one would
 * give up the locks of the file. */
static char *read_before(int fd, size_t n, off_t at) {
    char path[64], *before = malloc(n + 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reads = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
    int reader = reads ? fd : open(path, O_RDONLY | O_CLOEXEC);
    if (reader < 0 || pread(reader, before, n, at) != (ssize_t)n) die("power: reading");
    if (!reads) close(reader);
    return before;
}

/* Whether a descriptor is a file of the folder; its state and name. */
static int is_ours(int fd, struct stat *state, char *name) {
    char link[64];
    if (notes < 0 || fstat(fd, state) || !S_ISREG(state->st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, PATH_MAX - 1);
    if (n < 0) return 0;
    name[n] = 0;
    size_t length = strlen(folder);
    return !strncmp(name, folder, length) && name[length] == '/';
}

/* Notes a write of `n` bytes at `at`: the bytes it replaces, and its own. */
static void note_write(int fd, const struct stat *state, const void *bytes, size_t n, off_t at) {
    size_t old = state->st_size > at ? (size_t)(state->st_size - at) : 0;
    if (old > n) old = n;
    char *before = read_before(fd, old, at);
    struct note note = {WRITE, state->st_ino, at, n, state->st_size, old, ++number};
    put_note(&note, before, bytes);
    free(before);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at) {
    struct stat state;
    char name[PATH_MAX];
    if (!is_ours(fd, &state, name)) return real_pwrite(fd, bytes, n, at);
    pthread_mutex_lock(&mutex);
    fstat(fd, &state);
    note_write(fd, &state, bytes, n, at);
    ssize_t done = real_pwrite(fd, bytes, n, at);
    pthread_mutex_unlock(&mutex);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return pwrite64(fd, bytes, n, at); }

ssize_t write(int fd, const void *bytes, size_t n) {
    struct stat state;
    char name[PATH_MAX];
    if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
    if (!is_ours(fd, &state, name)) return real_write(fd, bytes, n);
    pthread_mutex_lock(&mutex);
    fstat(fd, &state);
    off_t at = fcntl(fd, F_GETFL) & O_APPEND ? state.st_size : lseek(fd, 0, SEEK_CUR);
    note_write(fd, &state, bytes, n, at);
    ssize_t done = real_write(fd, bytes, n);
    pthread_mutex_unlock(&mutex);
    return done;
}

int ftruncate64(int fd, off_t length) {
    struct stat state;
    char name[PATH_MAX];
    if (!is_ours(fd, &state, name)) return real_ftruncate(fd, length);
    pthread_mutex_lock(&mutex);
    fstat(fd, &state);
    size_t old = state.st_size > length ? (size_t)(state.st_size - length) : 0;
    char *before = read_before(fd, old, length);
    struct note note = {LENGTH, state.st_ino, length, 0, state.st_size, old, ++number};
    put_note(&note, before, NULL);
    free(before);
    int done = real_ftruncate(fd, length);
    pthread_mutex_unlock(&mutex);
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int sync_file(int fd, int (*real)(int)) {
    struct stat state;
    char name[PATH_MAX];
    if (!is_ours(fd, &state, name)) return real(fd);
    if (no_sync && strlen(name) >= strlen(no_sync) && !strcmp(name + strlen(name) - strlen(no_sync), no_sync)) return 0;
    pthread_mutex_lock(&mutex);
    struct note note = {SYNC, state.st_ino, 0, 0, 0, 0, number};
    pthread_mutex_unlock(&mutex);
    int done = real(fd);
    pthread_mutex_lock(&mutex);
    if (!done) put_note(&note, NULL, NULL);
    pthread_mutex_unlock(&mutex);
    return done;
}

int fsync(int fd) { return sync_file(fd, real_fsync); }
int fdatasync(int fd) { return sync_file(fd, real_fdatasync); }

/* Finds the file with an inode number in the data folder, which has no folders inside that matter more than two deep. */
static int find(const char *in, uint64_t inode, char *found) {
    DIR *dir = opendir(in);
    int is_found = 0;
    for (struct dirent *entry; dir && !is_found && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", in, entry->d_name) >= (int)sizeof path) continue;
        if (entry->d_type == DT_DIR) is_found = find(path, inode, found);
        else if (entry->d_ino == inode) is_found = 1, strcpy(found, path);
    }
    if (dir) closedir(dir);
    return is_found;
}

/* What a file would be without what was not synced, with a part of it done again. */
static void cut_file(uint64_t inode, char *log, size_t log_size, uint64_t synced, uint64_t *lost) {
    char path[PATH_MAX];
    if (!find(folder, inode, path)) return;
    int fd = open(path, O_RDWR);
    struct stat state;
    if (fd < 0 || fstat(fd, &state)) die(path);
    size_t count = 0, room = 64, most = state.st_size;
    struct note **pending = malloc(room * sizeof *pending);
    for (size_t at = 0; at + sizeof(struct note) <= log_size;) {
        struct note *note = (struct note *)(log + at);
        at += size_of(note);
        if (at > log_size) break;
        if (note->inode != inode || note->kind == SYNC || note->number <= synced) continue;
        if (count == room) pending = realloc(pending, (room *= 2) * sizeof *pending);
        pending[count++] = note;
        if (note->at + note->bytes > most) most = note->at + note->bytes;
        if (note->before > most) most = note->before;
    }
    char *bytes = calloc(most + 1, 1);
    size_t length = state.st_size;
    if (pread(fd, bytes, length, 0) != (ssize_t)length) die(path);
    for (size_t i = count; i-- > 0;) {
        struct note *note = pending[i];
        if (length < note->before) memset(bytes + length, 0, note->before - length);
        memcpy(bytes + note->at, note + 1, note->old);
        if (length > note->before) memset(bytes + note->before, 0, length - note->before);
        length = note->before;
    }
    const uint64_t shares[] = {0, 50, 90, 100};
    uint64_t share = shares[dice(4)];
    for (size_t i = 0; i < count; i++) {
        struct note *note = pending[i];
        char *new = (char *)(note + 1) + note->old;
        if (note->kind == LENGTH) {
            if (dice(100) >= share) { ++*lost; continue; }
            if (length > note->at) memset(bytes + note->at, 0, length - note->at);
            length = note->at;
            continue;
        }
        for (size_t from = 0; from < note->bytes;) {
            size_t end = ((note->at + from) / SECTOR + 1) * SECTOR - note->at;
            if (end > note->bytes) end = note->bytes;
            if (dice(100) < share) {
                memcpy(bytes + note->at + from, new + from, end - from);
                if (note->at + end > length) length = note->at + end;
            } else ++*lost;
            from = end;
        }
    }
    if (real_pwrite(fd, bytes, length, 0) != (ssize_t)length || real_ftruncate(fd, length)) die(path);
    close(fd);
    free(bytes);
    free(pending);
}

static void cut(void) {
    int fd = open(notes_path, O_RDONLY);
    struct stat state;
    if (fd < 0 || fstat(fd, &state)) return;
    char *log = malloc(state.st_size + 1);
    size_t size = read(fd, log, state.st_size);
    close(fd);
    enum { FILES = 4096 };
    static uint64_t inodes[FILES], synced[FILES];
    size_t files = 0;
    uint64_t lost = 0;
    for (size_t at = 0; at + sizeof(struct note) <= size;) {
        struct note *note = (struct note *)(log + at);
        at += size_of(note);
        size_t i = 0;
        while (i < files && inodes[i] != note->inode) i++;
        if (i == files && files < FILES) inodes[files++] = note->inode;
        if (note->kind == SYNC && i < FILES && note->number > synced[i]) synced[i] = note->number;
    }
    for (size_t i = 0; i < files; i++) cut_file(inodes[i], log, size, synced[i], &lost);
    fprintf(stderr, "power: %zu files, %llu sectors and lengths lost\n", files, (unsigned long long)lost);
    free(log);
}

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    no_sync = getenv("POWER_NO_SYNC");
    char line[8192];
    int fd = open("/proc/self/cmdline", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) return;
    line[n] = 0;
    int is_server = 0;
    const char *data = NULL;
    for (char *word = line; word < line + n; word += strlen(word) + 1) {
        if (!strcmp(word, "serve")) is_server = 1;
        if (!strcmp(word, "--data-dir")) data = word + strlen(word) + 1;
    }
    if (!is_server || !data) return;
    snprintf(notes_path, sizeof notes_path, "%s.power", data);
    const char *seed = getenv("POWER_SEED");
    dice_state = (seed ? strtoull(seed, NULL, 10) : 1) + (uint64_t)getpid();
    if (realpath(data, folder)) cut();
    else snprintf(folder, sizeof folder, "%s", data);
    notes = open(notes_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (notes < 0) die(notes_path);
}
