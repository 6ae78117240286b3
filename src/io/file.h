/* file.h - the only door to the disk (SQLite has its own).
 *
 * Durable   file_write_durable writes under a temporary name in the same folder, syncs, renames, and syncs the
 *           folder: after ERR_OK the file survives power loss and is whole. file_writer_* is the same in pieces.
 * Errors    ERR_DISK with path and errno text; ERR_NOT_FOUND where a file to read is absent; ERR_FULL past `limit`.
 * Threads   any; no shared state.
 */
#ifndef TICKLAKE_IO_FILE_H
#define TICKLAKE_IO_FILE_H

#include "base/buf.h"

enum { PATH_LIMIT = 1024 };

enum err_code file_read(const char *path, size_t limit, struct buf *ret, struct err *e) MUST_USE;
/* len bytes from offset; ERR_CORRUPT when the file ends before. */
enum err_code file_read_at(int fd, const char *path, uint64_t offset, void *to, size_t len,
                           struct err *e) MUST_USE;
enum err_code file_open_read(const char *path, int *ret_fd, uint64_t *ret_size,
                             struct err *e) MUST_USE;
void file_close(int fd);
enum err_code file_write_durable(const char *path, struct str bytes, struct err *e) MUST_USE;

struct file_writer; /* written under "<path>.partial" until finished */
enum err_code file_writer_open(const char *path, struct file_writer **ret, struct err *e) MUST_USE;
enum err_code file_writer_add(struct file_writer *w, const void *data, size_t len,
                              struct err *e) MUST_USE;
uint64_t file_writer_size(const struct file_writer *w);
/* sync, rename; sync_folder=false leaves the folder's sync to a later file_sync_folder of the caller. Frees w. */
enum err_code file_writer_finish(struct file_writer *w, bool sync_folder, struct err *e) MUST_USE;
/* Renames without any sync: for copies of what can be had again. After power loss the file may be torn. Frees w. */
enum err_code file_writer_finish_copy(struct file_writer *w, struct err *e) MUST_USE;
struct file_writer *
file_writer_abort(struct file_writer *w); /* removes the partial file; NULL allowed */

enum err_code file_sync_folder(const char *path, struct err *e) MUST_USE;
enum err_code file_make_folders(const char *path, struct err *e) MUST_USE; /* mkdir -p, synced */
enum err_code file_remove(const char *path, struct err *e) MUST_USE;       /* absent is fine */
bool file_exists(const char *path);
int64_t file_size(const char *path);        /* -1 when absent */
int64_t file_modified_ns(const char *path); /* ns since 1970; INT64_MAX when absent */
/* Calls back for each entry (not "." and ".."), in name order. A callback's error ends the walk. */
enum err_code file_list(const char *folder,
                        enum err_code (*each)(void *ctx, const char *name, bool is_folder,
                                              struct err *e),
                        void *ctx, struct err *e) MUST_USE;
/* Joins with one slash; CHECKs that it fits in PATH_LIMIT. */
void path_join(char out[PATH_LIMIT], const char *folder, const char *name);

/* Takes the folder for this process (a write lock on "<folder>/lock", which holds pid and command).
 * ERR_IN_USE names the holder. Released by file_unlock or the end of the process, however it ends. */
enum err_code file_lock(const char *folder, const char *command, int *ret_fd,
                        struct err *e) MUST_USE;
void file_unlock(int fd);

#endif
