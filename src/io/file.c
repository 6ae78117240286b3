#include "io/file.h"

#include "base/time.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_writer {
    int fd;
    uint64_t size;
    char path[PATH_LIMIT], partial[PATH_LIMIT];
};

void path_join(char out[PATH_LIMIT], const char *folder, const char *name)
{
    size_t n = strlen(folder);
    bool slash = n && folder[n - 1] == '/';
    int len = snprintf(out, PATH_LIMIT, "%s%s%s", folder, slash || n == 0 ? "" : "/", name);
    CHECK(len >= 0 && len < PATH_LIMIT);
}

static enum err_code disk(struct err *e, const char *what, const char *path)
{
    return ERR(e, ERR_DISK, "%s %s: %s", what, path, strerror(errno));
}

enum err_code file_open_read(const char *path, int *ret_fd, uint64_t *ret_size, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return ERR(e, ERR_NOT_FOUND, "%s: no such file", path);
    if (fd < 0) return disk(e, "open", path);
    struct stat st;
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        if (S_ISDIR(st.st_mode)) errno = EISDIR;
        enum err_code code = disk(e, "read", path);
        close(fd);
        return code;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return ERR_OK;
}

void file_close(int fd)
{
    if (fd >= 0) close(fd);
}

enum err_code file_read_at(int fd, const char *path, uint64_t offset, void *to, size_t len,
                           struct err *e)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return disk(e, "read", path);
        if (n == 0)
            return ERR(e, ERR_CORRUPT, "%s: ends at byte %llu, %llu bytes expected from %llu", path,
                       (unsigned long long)(offset + done), (unsigned long long)len,
                       (unsigned long long)offset);
        done += (size_t)n;
    }
    return ERR_OK;
}

enum err_code file_read(const char *path, size_t limit, struct buf *ret, struct err *e)
{
    int fd;
    uint64_t size;
    TRY(file_open_read(path, &fd, &size, e));
    enum err_code code = ERR_OK;
    uint8_t *to = size > limit ? NULL : buf_room(ret, (size_t)size);
    if (!to)
        code = ERR(e, ERR_FULL, "%s: %llu bytes, at most %llu are read", path,
                   (unsigned long long)size, (unsigned long long)limit);
    if (code == ERR_OK) code = file_read_at(fd, path, 0, to, (size_t)size, e);
    if (code == ERR_OK) ret->len += (size_t)size;
    close(fd);
    return code;
}

static void parent_of(char out[PATH_LIMIT], const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 1;
    if (slash == path) n = 1;
    CHECK(str_copy(out, PATH_LIMIT, (struct str){slash ? path : ".", n}));
}

enum err_code file_sync_folder(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return disk(e, "open folder", path);
    enum err_code code = fsync(fd) == 0 ? ERR_OK : disk(e, "sync folder", path);
    close(fd);
    return code;
}

enum err_code file_make_folders(const char *path, struct err *e)
{
    if (mkdir(path, 0777) == 0) {
        char parent[PATH_LIMIT];
        parent_of(parent, path);
        return file_sync_folder(parent, e);
    }
    if (errno == EEXIST) {
        struct stat st;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return ERR_OK;
        errno = ENOTDIR;
        return disk(e, "create folder", path);
    }
    if (errno != ENOENT) return disk(e, "create folder", path);
    char parent[PATH_LIMIT];
    parent_of(parent, path);
    TRY(file_make_folders(parent, e));
    if (mkdir(path, 0777) != 0 && errno != EEXIST) return disk(e, "create folder", path);
    return file_sync_folder(parent, e);
}

enum err_code file_writer_open(const char *path, struct file_writer **ret, struct err *e)
{
    struct file_writer *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    int n = snprintf(w->partial, sizeof w->partial, "%s.partial", path);
    CHECK(n >= 0 && (size_t)n < sizeof w->partial &&
          str_copy(w->path, sizeof w->path, str_of(path)));
    w->fd = open(w->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        enum err_code code = disk(e, "create", w->partial);
        free(w);
        return code;
    }
    *ret = w;
    return ERR_OK;
}

enum err_code file_writer_add(struct file_writer *w, const void *data, size_t len, struct err *e)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(w->fd, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return disk(e, "write", w->partial);
        done += (size_t)n;
        w->size += (uint64_t)n;
    }
    return ERR_OK;
}

uint64_t file_writer_size(const struct file_writer *w) { return w->size; }

struct file_writer *file_writer_abort(struct file_writer *w)
{
    if (!w) return NULL;
    if (w->fd >= 0) close(w->fd);
    unlink(w->partial);
    free(w);
    return NULL;
}

enum err_code file_writer_finish(struct file_writer *w, bool sync_folder, struct err *e)
{
    enum err_code code = ERR_OK;
    if (fdatasync(w->fd) != 0) code = disk(e, "sync", w->partial);
    if (close(w->fd) != 0 && code == ERR_OK) code = disk(e, "close", w->partial);
    w->fd = -1;
    if (code == ERR_OK && rename(w->partial, w->path) != 0) code = disk(e, "rename to", w->path);
    char parent[PATH_LIMIT];
    parent_of(parent, w->path);
    if (code == ERR_OK) {
        free(w);
        return sync_folder ? file_sync_folder(parent, e) : ERR_OK;
    }
    file_writer_abort(w);
    return code;
}

enum err_code file_writer_finish_copy(struct file_writer *w, struct err *e)
{
    enum err_code code = ERR_OK;
    if (close(w->fd) != 0) code = disk(e, "close", w->partial);
    w->fd = -1;
    if (code == ERR_OK && rename(w->partial, w->path) != 0) code = disk(e, "rename to", w->path);
    if (code == ERR_OK)
        free(w);
    else
        file_writer_abort(w);
    return code;
}

enum err_code file_write_durable(const char *path, struct str bytes, struct err *e)
{
    struct file_writer *w;
    TRY(file_writer_open(path, &w, e));
    enum err_code code = file_writer_add(w, bytes.p, bytes.n, e);
    if (code == ERR_OK) return file_writer_finish(w, true, e);
    file_writer_abort(w);
    return code;
}

enum err_code file_remove(const char *path, struct err *e)
{
    if (unlink(path) == 0 || errno == ENOENT) return ERR_OK;
    return disk(e, "remove", path);
}

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

int64_t file_modified_ns(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) return INT64_MAX;
    return (int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
}

static int no_dots(const struct dirent *d)
{
    return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

enum err_code file_list(const char *folder,
                        enum err_code (*each)(void *ctx, const char *name, bool is_folder,
                                              struct err *e),
                        void *ctx, struct err *e)
{
    struct dirent **names;
    int count = scandir(folder, &names, no_dots, alphasort);
    if (count < 0 && errno == ENOENT) return ERR(e, ERR_NOT_FOUND, "%s: no such folder", folder);
    if (count < 0) return disk(e, "list", folder);
    enum err_code code = ERR_OK;
    for (int i = 0; i < count; i++) {
        char path[PATH_LIMIT];
        struct stat st;
        path_join(path, folder, names[i]->d_name);
        bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
        if (code == ERR_OK) code = each(ctx, names[i]->d_name, is_folder, e);
        free(names[i]);
    }
    free(names);
    return code;
}

enum err_code file_lock(const char *folder, const char *command, int *ret_fd, struct err *e)
{
    char path[PATH_LIMIT];
    path_join(path, folder, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return disk(e, "open", path);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &lock) != 0) {
        char holder[200] = "";
        ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
        struct str who = str_trim((struct str){holder, n > 0 ? (size_t)n : 0});
        if (who.n == 0) who = STR("another process");
        close(fd);
        return ERR(e, ERR_IN_USE,
                   "%s is in use by %.*s; stop that program first, or use another --data folder",
                   folder, STR_ARG(who));
    }
    char text[200];
    int n = snprintf(text, sizeof text, "process %ld (ticklake %s)\n", (long)getpid(), command);
    if (ftruncate(fd, 0) != 0 || n < 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        enum err_code code = disk(e, "write", path);
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return ERR_OK;
}

void file_unlock(int fd)
{
    if (fd >= 0)
        close(fd); /* a POSIX lock ends with its descriptor; the file stays, so no race on unlink */
}
