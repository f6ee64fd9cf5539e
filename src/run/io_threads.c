/* The threads at both ends of rank 0's pool of frames.
 *
 * The decoder's thread takes a credit, reads a frame, hashes it and queues it for the main thread.
 * A frame carries its credit (frame->credit); resr_frame_free() posts it with the last reference.
 * Credits are taken in frame order, so the oldest frame of the job always has one and the pool
 * cannot deadlock. Frames of segments that an earlier attempt finished are queued as placeholders;
 * frames in batch files are read from there. The decoder skips such frames where it can seek.
 *
 * The encoder's thread receives frames in order. If the sink takes frames, it verifies and encodes
 * them itself. If the sink stores segments (checkpoints, --encode ranks), it passes them on to the
 * segment encoders, whose threads call commit_segment() for each finished segment: frame table,
 * file, journal, in this order, under commit_lock. With --encode ranks it gets placeholders only,
 * since frames and segments go to the segment encoders directly; the main thread learns of durable
 * segments by the queue `announced`. When the main thread closes the queue, the encoder's thread
 * waits for the last segment and finishes the sink, which publishes the output.
 *
 * The first error of any thread is kept, with its text, and ends the job. */

#include "run/io_threads.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/busy_timer.h"
#include "base/clock.h"
#include "base/events.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/queue.h"
#include "base/stop.h"
#include "media/segment_encoders.h"
#include "run/segment_gather.h"

struct ResrIoThreads {
    ResrIoThreadsConfig config;
    sem_t credits;
    ResrQueue *decoded, *encode;
    ResrSegmentStore store;        /* of the encoders' files */
    ResrSegmentEncoders *encoders; /* NULL: the sink takes frames, not segments */
    pthread_t decode_thread, encode_thread;
    bool decode_started, encode_started;
    atomic_bool whole; /* the input was decoded to its end */
    atomic_bool decode_ended, stop, stop_decoding, finished;
    atomic_llong encoded;
    atomic_bool finishing, committing;
    int64_t finish_packets, finish_ns; /* of resr_io_threads_finish_stall() */
    ResrBusyTimer decoding, encoding;
    atomic_llong hashing_ns;     /* of decoded frames */
    pthread_mutex_t commit_lock; /* sink, frame table and committed_frames, with encoders */
    pthread_cond_t committed;    /* a segment was committed, or has failed, or stop was set */
    int64_t committed_frames;
    ResrQueue *announced; /* --encode ranks: durable segments, for the main thread */
    pthread_mutex_t lock; /* status, error and the pointer to the sink */
    int status;
    char error[RESR_ERROR_TEXT_BYTES];
};

static void record(ResrStage stage, int64_t start_ns, int64_t end_ns, int64_t first, int frames)
{
    resr_events_add(&(ResrEvent){.start_ns = start_ns,
                                 .end_ns = end_ns,
                                 .first = first,
                                 .frames = frames,
                                 .peer = -1,
                                 .stage = (uint8_t)stage});
}

/* Keeps the first error; the text is the calling thread's. */
static void record_error(ResrIoThreads *io, int status)
{
    pthread_mutex_lock(&io->lock);
    if (io->status == 0) {
        io->status = status;
        resr_error_save(io->error);
    }
    pthread_mutex_unlock(&io->lock);
}

/* Index after the last frame that must be decoded; INT64_MAX when that is not known. */
static int64_t decode_end(const ResrIoThreads *io)
{
    const ResrCheckpoint *checkpoint = io->config.checkpoint;
    int64_t end = checkpoint ? resr_checkpoint_frames_total(checkpoint) : -1;
    if (end < 0)
        return INT64_MAX;
    while (end > 0 && resr_checkpoint_frame_state(checkpoint, end - 1) != RESR_FRAME_DECODED)
        end--;
    return end;
}

/* *out: frame `index` of an earlier attempt, if that has completed it; else `decoded` (may be
 * NULL), which is otherwise freed. */
static int restore(ResrIoThreads *io, ResrFrame **out, ResrFrame *decoded, int64_t index)
{
    ResrCheckpoint *checkpoint = io->config.checkpoint;
    ResrFrameState state =
        checkpoint ? resr_checkpoint_frame_state(checkpoint, index) : RESR_FRAME_DECODED;
    int ret = 0;
    *out = NULL;
    if (state == RESR_FRAME_DURABLE)
        ret = resr_frame_create_placeholder(out);
    else if (state == RESR_FRAME_RESTORED)
        ret = resr_checkpoint_load(checkpoint, out, index);
    if (ret == RESR_ERR_DATA && decoded) {
        resr_log_warn("%s; it is computed again", resr_error_text());
        ret = 0;
    }
    if (ret == 0 && !*out)
        *out = decoded;
    else
        resr_frame_free(decoded);
    if (*out)
        (*out)->index = index;
    return ret;
}

/* Resumes decoding behind the frames of finished segments, if the decoder can. *from: the first
 * frame that is decoded. */
static int skip_finished(ResrIoThreads *io, int64_t *from)
{
    char hash[RESR_HASH_HEX_BYTES];
    int64_t pts;
    bool found = false;
    const ResrCheckpoint *checkpoint = io->config.checkpoint;
    int64_t last = checkpoint ? resr_checkpoint_source(checkpoint, &pts, hash) : -1;
    int ret = 0;
    *from = 0;
    if (last >= 0)
        ret = resr_decoder_skip(io->config.decoder, &found, last, pts, hash);
    if (found)
        *from = last + 1;
    if (found)
        resr_log_info("decoding resumes at frame %" PRId64, *from);
    return ret;
}

/* The next frame, or NULL at the end of the input; frames from .. end - 1 are decoded. */
static int next_frame(ResrIoThreads *io, ResrFrame **out, int64_t index, int64_t from, int64_t end)
{
    ResrFrame *decoded = NULL;
    int64_t total =
        io->config.checkpoint ? resr_checkpoint_frames_total(io->config.checkpoint) : -1;
    *out = NULL;
    if (index >= from && index < end) {
        int ret = resr_decoder_read(io->config.decoder, &decoded);
        if (ret < 0 || !decoded)
            return ret;
    } else if (index >= from && index >= total) {
        return 0;
    }
    int ret = restore(io, out, decoded, index);
    int64_t start_ns = resr_clock_ns();
    if (ret == 0 && *out && (*out)->state == RESR_FRAME_DECODED)
        resr_frame_hash((*out)->hash, &io->config.plan->input, *out);
    io->hashing_ns += resr_clock_ns() - start_ns;
    return ret;
}

/* True if decoding has been ended: a decoder that waits for its file then fails, which is no error
 * of the job. */
static bool is_stopped(const ResrIoThreads *io)
{
    return io->stop || io->stop_decoding || resr_stop_signal();
}

static void *decode_main(void *argument)
{
    ResrIoThreads *io = argument;
    int64_t end = decode_end(io), from, n = 0;
    bool at_end = false;
    int ret = skip_finished(io, &from);
    if (ret == RESR_ERR_STOPPED && is_stopped(io))
        return NULL;
    for (; ret == 0 && (io->config.max_frames == 0 || n < io->config.max_frames); n++) {
        ResrFrame *frame = NULL;
        while (sem_wait(&io->credits) != 0) {
            /* interrupted by a signal */
        }
        if (is_stopped(io))
            return NULL;
        resr_busy_timer_begin(&io->decoding);
        int64_t start_ns = io->decoding.since_ns;
        ret = next_frame(io, &frame, n, from, end);
        int64_t end_ns = resr_busy_timer_end(&io->decoding);
        if (frame)
            record(RESR_STAGE_DECODE, start_ns, end_ns, n, 1);
        if (ret == RESR_ERR_STOPPED && is_stopped(io))
            return NULL;
        at_end = ret == 0 && !frame;
        if (ret < 0 || !frame)
            break;
        frame->credit = &io->credits;
        if (!resr_queue_push(io->decoded, frame)) {
            resr_frame_free(frame);
            return NULL;
        }
    }
    io->whole = at_end;
    if (ret == 0 && io->config.checkpoint)
        ret = resr_checkpoint_end_of_input(io->config.checkpoint, n);
    if (ret < 0)
        record_error(io, ret);
    else
        io->decode_ended = true;
    return NULL;
}

/* With commit_lock: names a finished segment's file and then records the segment in the journal. */
static int make_durable_locked(ResrIoThreads *io, ResrSegment *segment)
{
    const ResrSegmentInfo *info = &segment->info;
    int64_t start_ns = resr_events_now();
    io->committing = true;
    int ret = resr_sink_add(io->config.sink, segment);
    if (ret == 0)
        ret = resr_checkpoint_commit(io->config.checkpoint, info, io->config.frame_table);
    io->committing = false;
    resr_events_add(&(ResrEvent){.start_ns = start_ns,
                                 .end_ns = resr_events_now(),
                                 .first = info->first,
                                 .frames = (int32_t)info->frames,
                                 .bytes = info->bytes,
                                 .peer = -1,
                                 .stage = RESR_STAGE_COMMIT,
                                 .failed = ret < 0});
    return ret;
}

/* Called by the encoders' threads. A second copy of a segment, of an excluded owner, is dropped. */
static int commit_segment(void *user, ResrSegment *segment)
{
    ResrIoThreads *io = user;
    const ResrSegmentInfo *info = &segment->info;
    int ret = 0;
    pthread_mutex_lock(&io->commit_lock);
    if (resr_sink_has(io->config.sink, info->number)) {
        pthread_mutex_unlock(&io->commit_lock);
        resr_segment_free(segment);
        return 0;
    }
    for (int64_t i = 0; i < info->frames && ret == 0; i++)
        ret = resr_frame_table_set(io->config.frame_table, info->first + i, &segment->frames[i]);
    if (ret == 0)
        ret = make_durable_locked(io, segment);
    if (ret == 0)
        io->committed_frames += info->frames;
    pthread_cond_signal(&io->committed);
    pthread_mutex_unlock(&io->commit_lock);
    if (ret < 0 || !io->config.plan->encode_ranks || !resr_queue_push(io->announced, segment))
        resr_segment_free(segment);
    return ret;
}

static void encoding_failed(void *user, int status)
{
    ResrIoThreads *io = user;
    record_error(io, status);
    pthread_mutex_lock(&io->commit_lock);
    pthread_cond_signal(&io->committed);
    pthread_mutex_unlock(&io->commit_lock);
}

static int start_encoders(ResrIoThreads *io)
{
    ResrSegmentEncodersConfig config = resr_segment_gather_encoders(io->config.plan);
    io->store = resr_checkpoint_store(io->config.checkpoint);
    config.user = io;
    config.store = &io->store;
    config.finished = commit_segment;
    config.failed = encoding_failed;
    return resr_segment_encoders_start(&io->encoders, &config);
}

/* Encodes a frame or passes it on; takes ownership. */
static int encode_frame(ResrIoThreads *io, ResrFrame *frame)
{
    ResrFrameRecord record;
    int ret = 0;
    if (frame->state != RESR_FRAME_DURABLE && io->encoders) {
        resr_segment_encoders_add_frame(io->encoders, frame);
        return 0;
    }
    if (frame->state != RESR_FRAME_DURABLE) {
        if (resr_frame_verify(frame, &io->config.plan->output) < 0)
            ret = resr_fail_prefix(RESR_ERR_STOPPED, "run the same command again: ");
        resr_frame_describe(&record, frame);
        if (ret == 0)
            ret = resr_frame_table_set(io->config.frame_table, frame->index, &record);
        if (ret == 0)
            ret = resr_sink_write(io->config.sink, frame);
    }
    /* A message to a hung rank may refer to the frame until the end of the job. */
    if (frame->state == RESR_FRAME_DURABLE && frame->credit) {
        sem_post(frame->credit);
        frame->credit = NULL;
    }
    resr_frame_free(frame);
    io->encoded += ret == 0;
    return ret;
}

/* Waits until the segments of `frames` frames are committed. */
static int finish_segments(ResrIoThreads *io, int64_t frames, int64_t end)
{
    resr_segment_encoders_end(io->encoders, end);
    pthread_mutex_lock(&io->commit_lock);
    while (io->committed_frames < frames && !io->stop && resr_io_threads_status(io) == 0)
        pthread_cond_wait(&io->committed, &io->commit_lock);
    pthread_mutex_unlock(&io->commit_lock);
    return io->stop ? RESR_ERR_STOPPED : resr_io_threads_status(io);
}

static int finish_output(ResrIoThreads *io)
{
    if (resr_io_threads_encoded(io) == 0)
        return resr_fail(RESR_ERR_DATA, "the input holds no frame that can be decoded");
    if (io->config.framehash[0]) {
        int ret = resr_frame_table_write(io->config.frame_table, io->config.framehash);
        if (ret < 0)
            return ret;
    }
    return resr_sink_finish(io->config.sink, io->whole);
}

static void *encode_main(void *argument)
{
    ResrIoThreads *io = argument;
    ResrFrame *frame;
    int64_t computed_frames = 0, end = 0;
    int ret = 0;
    while (ret == 0 && !io->stop && (frame = resr_queue_pop(io->encode))) {
        int64_t index = frame->index;
        assert(index == end); /* frames arrive in order */
        bool computed = frame->state != RESR_FRAME_DURABLE;
        computed_frames += computed;
        end = index + 1;
        resr_busy_timer_begin(&io->encoding);
        int64_t start_ns = io->encoding.since_ns;
        ret = encode_frame(io, frame);
        int64_t end_ns = resr_busy_timer_end(&io->encoding);
        if (computed && !io->encoders)
            record(RESR_STAGE_ENCODE, start_ns, end_ns, index, 1);
    }
    if (ret == 0 && !io->stop && io->encoders)
        ret = finish_segments(io, computed_frames, end);
    int64_t start_ns = resr_clock_ns();
    io->finishing = true;
    if (ret == 0 && !io->stop)
        ret = finish_output(io);
    io->finishing = false;
    int64_t end_ns = resr_clock_ns();
    io->encoding.total_ns += end_ns - start_ns;
    record(RESR_STAGE_FINISH, start_ns, end_ns, 0, 0);
    if (ret < 0)
        record_error(io, ret);
    io->finished = true;
    return NULL;
}

int resr_io_threads_start(ResrIoThreads **out, const ResrIoThreadsConfig *config)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrIoThreads *io = *out;
    size_t pool = (size_t)config->plan->pool_frames;
    io->config = *config;
    pthread_mutex_init(&io->lock, NULL);
    pthread_mutex_init(&io->commit_lock, NULL);
    pthread_cond_init(&io->committed, NULL);
    sem_init(&io->credits, 0, (unsigned)pool);
    ret = resr_queue_create(&io->decoded, pool);
    if (ret == 0)
        ret = resr_queue_create(&io->encode, pool);
    if (ret == 0)
        ret = resr_queue_create(&io->announced, pool + 1);
    if (ret == 0 && resr_sink_stored(config->sink))
        ret = start_encoders(io);
    if (ret == 0) {
        io->decode_started = pthread_create(&io->decode_thread, NULL, decode_main, io) == 0;
        io->encode_started = pthread_create(&io->encode_thread, NULL, encode_main, io) == 0;
        if (!io->decode_started || !io->encode_started)
            ret = resr_fail(RESR_ERR_INTERNAL,
                            "the decoder's and encoder's threads cannot be started");
    }
    if (ret < 0) {
        resr_io_threads_stop(io);
        resr_io_threads_free(io);
        *out = NULL;
    }
    return ret;
}

ResrFrame *resr_io_threads_next(ResrIoThreads *io)
{
    return resr_queue_try_pop(io->decoded);
}

bool resr_io_threads_at_end(ResrIoThreads *io)
{
    return io->decode_ended && resr_queue_length(io->decoded) == 0;
}

void resr_io_threads_stop_decoding(ResrIoThreads *io)
{
    io->stop_decoding = true;
    resr_decoder_stop(io->config.decoder);
    resr_queue_close(io->decoded);
}

void resr_io_threads_encode(ResrIoThreads *io, ResrFrame *frame)
{
    if (!resr_queue_try_push(io->encode, frame))
        resr_frame_free(frame);
}

ResrSegmentEncoders *resr_io_threads_encoders(ResrIoThreads *io)
{
    return io->encoders;
}

bool resr_io_threads_committed(ResrIoThreads *io, int64_t *first, int64_t *frames)
{
    ResrSegment *segment = resr_queue_try_pop(io->announced);
    if (!segment)
        return false;
    *first = segment->info.first;
    *frames = segment->info.frames;
    resr_segment_free(segment);
    return true;
}

int64_t resr_io_threads_encoded(const ResrIoThreads *io)
{
    bool all_counted = !io->encoders || io->config.plan->encode_ranks;
    return io->encoded + (all_counted ? 0 : resr_segment_encoders_frames(io->encoders));
}

int resr_io_threads_status(ResrIoThreads *io)
{
    pthread_mutex_lock(&io->lock);
    int status = io->status < 0 ? resr_error_restore(io->status, io->error) : 0;
    pthread_mutex_unlock(&io->lock);
    return status;
}

void resr_io_threads_finish(ResrIoThreads *io)
{
    resr_queue_close(io->encode);
}

bool resr_io_threads_finished(const ResrIoThreads *io)
{
    return io->finished;
}

ResrIoThreadsState resr_io_threads_state(ResrIoThreads *io)
{
    int credits = 0;
    sem_getvalue(&io->credits, &credits);
    assert(credits >= 0);
    int64_t backlog = io->encoders ? resr_segment_encoders_backlog(io->encoders)
                                   : (int64_t)resr_queue_length(io->encode);
    return (ResrIoThreadsState){.decoder_waiting = io->decode_ended ||
                                                   (io->decoding.since_ns == 0 && credits <= 0),
                                .backlog = io->finishing || backlog > 0,
                                .committing = io->committing};
}

void resr_io_threads_seconds(const ResrIoThreads *io, ResrTimes *times)
{
    const ResrSegmentEncoders *encoders = io->encoders;
    times->decode = (double)io->decoding.total_ns * 1e-9;
    times->encode = (double)io->encoding.total_ns * 1e-9;
    times->hash = (double)io->hashing_ns * 1e-9;
    if (!encoders)
        return;
    times->encode += resr_segment_encoders_seconds(encoders);
    times->hash += resr_segment_encoders_hashing(encoders);
}

void resr_io_threads_stall(const ResrIoThreads *io, double *now, double *longest)
{
    *now = *longest = 0;
    resr_busy_timer_stall(&io->decoding, now, longest);
    resr_busy_timer_stall(&io->encoding, now, longest);
    if (io->encoders)
        resr_segment_encoders_stall(io->encoders, now, longest);
}

double resr_io_threads_finish_stall(ResrIoThreads *io)
{
    pthread_mutex_lock(&io->lock);
    bool finishing = io->finishing && io->config.sink;
    int64_t packets = finishing ? resr_sink_packets(io->config.sink) : -1;
    pthread_mutex_unlock(&io->lock);
    if (!finishing || !io->finish_ns || packets != io->finish_packets) {
        io->finish_packets = packets;
        io->finish_ns = resr_clock_ns();
    }
    return resr_clock_seconds_since(io->finish_ns);
}

static void free_frame(void *item)
{
    resr_frame_free(item);
}

static void free_announced(void *item)
{
    resr_segment_free(item);
}

void resr_io_threads_stop(ResrIoThreads *io)
{
    if (!io)
        return;
    io->stop = true;
    resr_decoder_stop(io->config.decoder);
    if (io->config.sink)
        resr_sink_stop(io->config.sink);
    if (io->decoded)
        resr_queue_close(io->decoded);
    if (io->encode)
        resr_queue_close(io->encode);
    if (io->announced)
        resr_queue_close(io->announced);
    sem_post(&io->credits);
    pthread_mutex_lock(&io->commit_lock);
    pthread_cond_signal(&io->committed);
    pthread_mutex_unlock(&io->commit_lock);
    if (io->decode_started)
        pthread_join(io->decode_thread, NULL);
    if (io->encode_started)
        pthread_join(io->encode_thread, NULL);
    io->decode_started = io->encode_started = false;
    resr_segment_encoders_stop(io->encoders);
    pthread_mutex_lock(&io->lock);
    io->config.sink = NULL; /* the caller may close it now */
    pthread_mutex_unlock(&io->lock);
    resr_queue_destroy(io->decoded, free_frame);
    resr_queue_destroy(io->encode, free_frame);
    resr_queue_destroy(io->announced, free_announced);
    io->decoded = io->encode = io->announced = NULL;
}

void resr_io_threads_free(ResrIoThreads *io)
{
    if (!io)
        return;
    resr_io_threads_stop(io);
    resr_segment_encoders_free(io->encoders);
    sem_destroy(&io->credits);
    pthread_cond_destroy(&io->committed);
    pthread_mutex_destroy(&io->commit_lock);
    pthread_mutex_destroy(&io->lock);
    free(io);
}
