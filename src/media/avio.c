/* How it works. Inputs: a file may be on a file system that does not answer (NFS, FUSE), and a
 * read() there cannot be interrupted. So each input has a thread that opens and reads it, one
 * request at a time: read_some() stores offset and size, sets `pending`, and waits on `answered` in
 * steps of STOP_POLL_NS until the thread clears `pending` or a stop is requested. After a stop the
 * request stays open, every later read fails at once, and closing only sets `ended`: the detached
 * thread frees the reader when its system call returns, if ever.
 *
 * Outputs: libavformat gets an AVIOContext for a file descriptor that the program opened, and an
 * io_open() that opens nothing but a second, read-only handle of the same file. */

#include "media/avio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/stop.h"

#define BUFFER_BYTES (128 << 10)
#define STOP_POLL_NS 50000000 /* longest delay between a stop and its effect */

/* A file that a thread of its own reads. The user waits for the thread, not for the file system,
 * and abandons a read that does not return. */
typedef struct Reader {
    pthread_mutex_t lock; /* protects `pending`; the thread owns the fields from `path` to `got`
                             while a request is open */
    pthread_cond_t requested, answered;
    bool pending;      /* a request is open */
    atomic_bool ended; /* the user has closed the file */
    char *path;        /* to open with the next request; then NULL */
    int fd, error;     /* errno of the last request that failed */
    struct stat status;
    int64_t from;
    size_t bytes;
    ssize_t got;
    int64_t offset; /* of the next read; the user's */
    const atomic_bool *stop;
    uint8_t data[BUFFER_BYTES];
} Reader;

static bool is_stopped(const Reader *reader)
{
    return resr_stop_signal() || (reader->stop && *reader->stop);
}

static void free_reader(Reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    pthread_mutex_destroy(&reader->lock);
    pthread_cond_destroy(&reader->requested);
    pthread_cond_destroy(&reader->answered);
    free(reader->path);
    free(reader);
}

/* A FIFO does not block the open; resr_file_check_input() refuses it afterwards. */
static void open_path(Reader *reader)
{
    const struct timespec pause = {.tv_nsec = STOP_POLL_NS};
    while ((reader->fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0 &&
           (errno == EINTR || errno == EAGAIN) && !reader->ended)
        nanosleep(&pause, NULL); /* EAGAIN: another process holds a lease on the file */
    reader->error = reader->fd < 0 || fstat(reader->fd, &reader->status) != 0 ? errno : 0;
    free(reader->path);
    reader->path = NULL;
}

static void *serve(void *argument)
{
    Reader *reader = argument;
    pthread_mutex_lock(&reader->lock);
    while (!reader->ended) {
        if (!reader->pending) {
            pthread_cond_wait(&reader->requested, &reader->lock);
            continue;
        }
        pthread_mutex_unlock(&reader->lock);
        if (reader->path) {
            open_path(reader);
        } else {
            do
                reader->got = pread(reader->fd, reader->data, reader->bytes, reader->from);
            while (reader->got < 0 && errno == EINTR && !reader->ended);
            if (reader->got < 0)
                reader->error = errno;
        }
        pthread_mutex_lock(&reader->lock);
        reader->pending = false;
        pthread_cond_signal(&reader->answered);
    }
    pthread_mutex_unlock(&reader->lock);
    free_reader(reader);
    return NULL;
}

/* Sends one request and waits for its end. AVERROR_EXIT: a stop came first. */
static int request(Reader *reader, int bytes)
{
    int averror = 0;
    pthread_mutex_lock(&reader->lock);
    if (reader->pending) /* an earlier read was abandoned */
        averror = AVERROR_EXIT;
    reader->pending = true;
    if (averror == 0) {
        reader->bytes = bytes < BUFFER_BYTES ? (size_t)bytes : BUFFER_BYTES;
        reader->from = reader->offset;
    }
    pthread_cond_signal(&reader->requested);
    while (reader->pending && averror == 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += STOP_POLL_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&reader->answered, &reader->lock, &until);
        if (reader->pending && is_stopped(reader))
            averror = AVERROR_EXIT;
    }
    pthread_mutex_unlock(&reader->lock);
    return averror;
}

static int read_some(void *opaque, uint8_t *data, int bytes)
{
    Reader *reader = opaque;
    int averror = is_stopped(reader) ? AVERROR_EXIT : request(reader, bytes);
    if (averror < 0)
        return averror;
    if (reader->got <= 0)
        return reader->got == 0 ? AVERROR_EOF : AVERROR(reader->error);
    memcpy(data, reader->data, (size_t)reader->got);
    reader->offset += reader->got;
    return (int)reader->got;
}

/* The offset that lseek() would move to from `offset`, or an error of libav. */
static int64_t moved(int64_t offset, int64_t by, int whence, int64_t size)
{
    int64_t base = whence == SEEK_CUR ? offset : whence == SEEK_END ? size : 0;
    if ((whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END) || size < 0 ||
        __builtin_add_overflow(base, by, &base) || base < 0)
        return AVERROR(EINVAL);
    return base;
}

static int64_t seek_reader(void *opaque, int64_t by, int whence)
{
    Reader *reader = opaque;
    int64_t size = reader->status.st_size;
    if (whence & AVSEEK_SIZE)
        return size;
    int64_t offset = moved(reader->offset, by, whence & ~AVSEEK_FORCE, size);
    if (offset >= 0)
        reader->offset = offset;
    return offset;
}

static int start_reader(Reader **out, const char *path, const atomic_bool *stop)
{
    sigset_t all, old;
    pthread_t thread;
    Reader *reader = NULL;
    int ret = resr_alloc(&reader, 1, sizeof *reader);
    if (ret < 0)
        return ret;
    reader->fd = -1;
    reader->stop = stop;
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->requested, NULL);
    pthread_cond_init(&reader->answered, NULL);
    reader->path = strdup(path);
    sigfillset(&all); /* signals are handled by the other threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool started = reader->path && pthread_create(&thread, NULL, serve, reader) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!started) {
        free_reader(reader);
        return resr_fail(RESR_ERR_INTERNAL, "%s: the reading thread cannot be started", path);
    }
    pthread_detach(thread);
    *out = reader;
    return 0;
}

static void end_reader(Reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    reader->ended = true;
    pthread_cond_signal(&reader->requested);
    pthread_mutex_unlock(&reader->lock);
}

int resr_avio_stopped(const char *path)
{
    int number = resr_stop_signal();
    if (!number)
        return resr_fail(RESR_ERR_STOPPED, "%s: reading was stopped", path);
    return resr_fail(RESR_ERR_STOPPED,
                     "%s: reading was stopped by signal %d; run the same command again", path,
                     number);
}

int resr_avio_open(AVIOContext **out, const char *path, const atomic_bool *stop)
{
    Reader *reader = NULL;
    uint8_t *buffer = NULL;
    *out = NULL;
    int ret = start_reader(&reader, path, stop);
    if (ret < 0)
        return ret;
    ret = request(reader, 0) < 0
              ? resr_fail(RESR_ERR_STOPPED, "%s: opening was stopped", path)
              : resr_file_check_input(path, reader->error, reader->status.st_mode);
    if (ret == 0 && (!(buffer = av_malloc(BUFFER_BYTES)) ||
                     !(*out = avio_alloc_context(buffer, BUFFER_BYTES, 0, reader, read_some, NULL,
                                                 seek_reader))))
        ret = resr_fail(RESR_ERR_INTERNAL, "out of memory: reading %s", path);
    if (ret < 0) {
        av_free(buffer);
        end_reader(reader);
    }
    return ret;
}

int resr_avio_error(const AVIOContext *io)
{
    Reader *reader = io->opaque;
    pthread_mutex_lock(&reader->lock);
    int error = reader->pending ? 0 : reader->error;
    pthread_mutex_unlock(&reader->lock);
    return error;
}

int resr_avio_check(const AVIOContext *io, const char *path)
{
    int error = resr_avio_error(io);
    if (error)
        return resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", path, strerror(error));
    return io->error == AVERROR_EXIT ? resr_avio_stopped(path) : 0;
}

void resr_avio_close(AVIOContext **io)
{
    if (!*io)
        return;
    end_reader((*io)->opaque);
    av_freep(&(*io)->buffer);
    avio_context_free(io);
}

int resr_avio_end(AVIOContext **io, const char *path, int ret)
{
    int reading = resr_avio_check(*io, path);
    resr_avio_close(io);
    return reading < 0 ? reading : ret;
}

/* A file that is written; also read, through a second handle, by a muxer that moves its index. */
typedef struct File {
    int fd;
    bool owned; /* closed with this handle */
    int64_t offset;
} File;

static int read_back(void *opaque, uint8_t *data, int bytes)
{
    File *file = opaque;
    ssize_t got;
    do
        got = pread(file->fd, data, (size_t)bytes, file->offset);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got == 0 ? AVERROR_EOF : AVERROR(errno);
    file->offset += got;
    return (int)got;
}

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int write_all(void *opaque, const uint8_t *data, int bytes)
#else
static int write_all(void *opaque, uint8_t *data, int bytes)
#endif
{
    File *file = opaque;
    if (resr_file_write(file->fd, data, (size_t)bytes, file->offset) != 0)
        return AVERROR(errno);
    file->offset += bytes;
    return bytes;
}

static int64_t seek_file(void *opaque, int64_t by, int whence)
{
    File *file = opaque;
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return AVERROR(errno);
    if (whence & AVSEEK_SIZE)
        return status.st_size;
    int64_t offset = moved(file->offset, by, whence & ~AVSEEK_FORCE, status.st_size);
    if (offset >= 0)
        file->offset = offset;
    return offset;
}

static int open_fd(AVIOContext **out, int fd, bool write)
{
    File *file = av_mallocz(sizeof *file);
    uint8_t *buffer = av_malloc(BUFFER_BYTES);
    *out = file && buffer ? avio_alloc_context(buffer, BUFFER_BYTES, write, file, read_back,
                                               write ? write_all : NULL, seek_file)
                          : NULL;
    if (!*out) {
        av_free(buffer);
        av_free(file);
        return AVERROR(ENOMEM);
    }
    *file = (File){.fd = fd, .owned = write};
    return 0;
}

static int close_fd(AVIOContext **io)
{
    File *file = (*io)->opaque;
    if ((*io)->write_flag)
        avio_flush(*io);
    int averror = (*io)->error;
    if (file->owned && close(file->fd) != 0 && errno != EINTR && averror >= 0)
        averror = AVERROR(errno);
    av_free(file);
    av_freep(&(*io)->buffer);
    avio_context_free(io);
    return averror < 0 ? averror : 0;
}

/* A muxer that moves its index to the front reads its own file again; no other file is opened. */
static int open_second(AVFormatContext *context, AVIOContext **out, const char *url, int flags,
                       AVDictionary **options)
{
    const File *file = context->pb ? context->pb->opaque : NULL;
    (void)options;
    *out = NULL;
    if (!file || flags & AVIO_FLAG_WRITE || strcmp(url, context->url) != 0)
        return AVERROR(EPERM);
    return open_fd(out, file->fd, false);
}

static int close_second(AVFormatContext *context, AVIOContext *io)
{
    (void)context;
    return io ? close_fd(&io) : 0;
}

int resr_avio_attach(AVFormatContext *context, int fd)
{
    int averror = open_fd(&context->pb, fd, true);
    context->io_open = open_second;
    context->io_close2 = close_second;
    context->flags |= AVFMT_FLAG_CUSTOM_IO;
    if (averror < 0)
        close(fd);
    return averror;
}

int resr_avio_finish(AVFormatContext *context)
{
    return context && context->pb ? close_fd(&context->pb) : 0;
}
