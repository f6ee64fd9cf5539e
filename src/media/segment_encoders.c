/* How it works. A table of open segments holds, for each, an encoder, a file writer and the frames
 * that wait for that encoder. Frames arrive in any order and with duplicates:
 *
 *   add_frame(): opens the frame's segment if need be, and stores the frame in `waiting`, unless
 *   the segment is finished or the frame has arrived before.
 *
 * N threads run the same loop under one lock: find an import, a segment whose next frame waits, or
 * a segment whose last frame is encoded; set the segment's `busy`; release the lock; import,
 * encode or finish; take the lock again. While `busy` is set, the thread that set it owns every
 * field of the segment except `waiting`, which the lock protects. So a segment's frames are encoded
 * in order, by one thread at a time, and its bytes depend on these frames only; different segments
 * are encoded at the same time. A thread without work waits for the condition `changed`, which
 * every call that adds work signals.
 *
 * A segment is finished when its encoder has returned a packet for each of its frames and the file
 * is complete and hashed. config.finished() then becomes the segment's owner, on the thread that
 * finished it and without the lock; the segment's number is kept, so that late duplicates of its
 * frames are dropped. The first error stops all threads and is reported once, by config.failed().
 */

#include "media/segment_encoders.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/busy_timer.h"
#include "base/events.h"
#include "base/flag.h"
#include "base/memory.h"
#include "base/publish.h"
#include "media/encode.h"
#include "media/libav.h"
#include "media/segment.h"
#include "media/segment_encoder.h"

/* An unfinished segment. */
typedef struct Segment {
    int64_t number, first;
    int64_t next; /* the frame that the encoder takes next */
    bool busy, open;
    ResrSegmentEncoder encoder;
    ResrSegmentWriter writer;
    ResrSegmentEncoders *encoders;
    ResrBusyTimer *work; /* of the thread that set `busy` */
    size_t capacity;     /* of out->frames */
    ResrSegment *out;
    ResrFrame **waiting; /* in any order */
    size_t waiting_count, waiting_capacity;
    struct Segment *after; /* in a list that rises by number */
} Segment;

struct ResrSegmentEncoders {
    ResrSegmentEncodersConfig config;
    ResrEncoding encoding;
    pthread_mutex_t lock; /* protects the fields from here to `first_encoder` */
    pthread_cond_t changed;
    Segment *segments;
    ResrSegment *imports; /* a list, by `next` */
    int64_t *finished;    /* numbers of finished segments */
    size_t finished_count, finished_capacity;
    int64_t end; /* frames of the video; INT64_MAX: not known */
    atomic_bool stop;
    AVCodecParameters *first_encoder; /* its headers hold for all segments */
    atomic_llong frames, waiting, packets, hashing_ns;
    int threads_started;
    struct Thread {
        ResrSegmentEncoders *encoders;
        pthread_t id;
        ResrBusyTimer work;
    } * threads;
};

static int64_t segment_end_locked(const ResrSegmentEncoders *e, const Segment *s)
{
    int64_t length = e->config.options->segment_frames;
    int64_t end = length > 0 ? s->first + length : INT64_MAX;
    return end < e->end ? end : e->end;
}

static void free_segment(ResrSegmentEncoders *e, Segment *s)
{
    resr_segment_encoder_close(&s->encoder);
    resr_segment_abandon(&s->writer);
    for (size_t i = 0; i < s->waiting_count; i++)
        resr_frame_free(s->waiting[i]);
    e->waiting -= (long long)s->waiting_count;
    resr_segment_free(s->out);
    free(s->waiting);
    free(s);
}

static int write_packet(void *user, AVPacket *packet)
{
    Segment *s = user;
    s->encoders->packets++;
    /* Finishing an encoder of many frames is progress with every packet. */
    resr_busy_timer_end(s->work);
    resr_busy_timer_begin(s->work);
    return resr_segment_write(&s->writer, packet);
}

/* All segments' headers are those of the first encoder that opens. */
static int match_headers(ResrSegmentEncoders *e, const Segment *s)
{
    pthread_mutex_lock(&e->lock);
    int ret = resr_segment_encoder_match(&e->first_encoder, s->encoder.encoder.context);
    pthread_mutex_unlock(&e->lock);
    return ret;
}

static int open_segment(ResrSegmentEncoders *e, Segment *s)
{
    char path[PATH_MAX];
    int ret = resr_alloc(&s->out, 1, sizeof *s->out);
    if (ret == 0)
        ret = resr_segment_encoder_open(&s->encoder, &e->encoding, write_packet, s);
    if (ret == 0)
        ret = match_headers(e, s);
    if (ret < 0)
        return ret;
    s->open = true;
    s->out->info = (ResrSegmentInfo){.number = s->number, .first = s->first};
    const ResrSegmentStore *store = e->config.store;
    if (store) {
        store->path(store->user, path, s->number);
        ret = resr_publish_temporary(s->out->path, sizeof s->out->path, path);
    }
    return ret < 0 ? ret
                   : resr_segment_create(&s->writer, store ? s->out->path : NULL,
                                         s->encoder.encoder.context);
}

static int remember_frame(Segment *s, const ResrFrame *frame)
{
    ResrSegment *out = s->out;
    int ret = resr_grow(&out->frames, &s->capacity, (size_t)out->info.frames, sizeof *out->frames);
    if (ret == 0)
        resr_frame_describe(&out->frames[out->info.frames++], frame);
    return ret;
}

static int encode_frame(ResrSegmentEncoders *e, Segment *s, const ResrFrame *frame)
{
    int64_t start_ns = resr_events_now(), hash_ns = resr_clock_ns();
    int status = resr_frame_verify(frame, &e->config.format);
    e->hashing_ns += resr_clock_ns() - hash_ns;
    if (status < 0)
        return resr_fail_prefix(RESR_ERR_STOPPED, "run the same command again: ");
    int ret = s->open ? 0 : open_segment(e, s);
    if (ret == 0)
        ret = remember_frame(s, frame);
    if (ret == 0)
        ret = resr_segment_encoder_write(&s->encoder, frame);
    resr_events_add(&(ResrEvent){.start_ns = start_ns,
                                 .end_ns = resr_events_now(),
                                 .first = frame->index,
                                 .frames = 1,
                                 .peer = -1,
                                 .stage = RESR_STAGE_ENCODE});
    e->frames += ret == 0;
    return ret;
}

/* Completes the segment's file and passes the segment to its new owner. */
static int finish_segment(ResrSegmentEncoders *e, Segment *s)
{
    ResrSegment *out = s->out;
    e->waiting++;
    int ret = resr_segment_encoder_finish(&s->encoder);
    e->waiting--;
    out->info.reorder = s->encoder.reorder;
    if (ret == 0 && out->path[0])
        ret = resr_segment_end(&s->writer);
    else if (ret == 0)
        ret = resr_segment_end_in_memory(&s->writer, &out->data, &out->info.bytes);
    if (ret == 0 && out->path[0])
        ret = resr_hash_file(&out->info.hash, &out->info.bytes, out->path);
    else if (ret == 0)
        out->info.hash = resr_hash_bytes(out->data, (size_t)out->info.bytes);
    if (ret < 0)
        return ret;
    s->out = NULL;
    return e->config.finished(e->config.user, out);
}

static int import_segment(ResrSegmentEncoders *e, ResrSegment *segment)
{
    ResrHash hash = resr_hash_bytes(segment->data, (size_t)segment->info.bytes);
    if (memcmp(&hash, &segment->info.hash, sizeof hash) == 0)
        return e->config.finished(e->config.user, segment);
    int ret = resr_fail(RESR_ERR_STOPPED,
                        "segment %" PRId64
                        ": was damaged in transit between ranks; run the same command again",
                        segment->info.number);
    resr_segment_free(segment);
    return ret;
}

/* Removes the frame that the segment's encoder takes next from `waiting`; NULL if that frame has
 * not arrived. */
static ResrFrame *pop_next_locked(ResrSegmentEncoders *e, Segment *s)
{
    for (size_t i = 0; i < s->waiting_count; i++) {
        ResrFrame *frame = s->waiting[i];
        if (frame->index != s->next)
            continue;
        s->waiting[i] = s->waiting[--s->waiting_count];
        e->waiting--;
        return frame;
    }
    return NULL;
}

static void remove_segment_locked(ResrSegmentEncoders *e, Segment *s)
{
    Segment **place = &e->segments;
    while (*place != s)
        place = &(*place)->after;
    *place = s->after;
    assert(!s->busy);
    free_segment(e, s);
}

static int remember_finished_locked(ResrSegmentEncoders *e, int64_t number)
{
    int ret =
        resr_grow(&e->finished, &e->finished_capacity, e->finished_count, sizeof *e->finished);
    if (ret == 0)
        e->finished[e->finished_count++] = number;
    return ret;
}

static bool is_finished_locked(const ResrSegmentEncoders *e, int64_t number)
{
    for (size_t i = e->finished_count; i > 0; i--)
        if (e->finished[i - 1] == number)
            return true;
    return false;
}

/* Encodes one frame of a segment, or with NULL finishes the segment. Releases the lock meanwhile.
 */
static int advance_locked(ResrSegmentEncoders *e, Segment *s, ResrFrame *frame, ResrBusyTimer *work)
{
    bool complete = !frame;
    int ret = 0;
    assert(!s->busy && (!frame || frame->index == s->next));
    s->busy = true;
    s->work = work;
    pthread_mutex_unlock(&e->lock);
    if (frame)
        ret = encode_frame(e, s, frame);
    resr_frame_free(frame);
    if (ret == 0 && complete)
        ret = finish_segment(e, s);
    pthread_mutex_lock(&e->lock);
    s->busy = false;
    s->next += !complete;
    if (ret == 0 && complete)
        ret = remember_finished_locked(e, s->number);
    if (complete || ret < 0)
        remove_segment_locked(e, s);
    return ret;
}

/* Does one piece of work, without the lock; *idle: no work exists. */
static int work_once_locked(ResrSegmentEncoders *e, ResrBusyTimer *work, bool *idle)
{
    ResrSegment *import = e->imports;
    *idle = false;
    if (import) {
        e->imports = import->next;
        pthread_mutex_unlock(&e->lock);
        int ret = import_segment(e, import);
        pthread_mutex_lock(&e->lock);
        return ret;
    }
    for (Segment *s = e->segments; s; s = s->after) {
        ResrFrame *frame = s->busy ? NULL : pop_next_locked(e, s);
        if (frame || (!s->busy && s->open && s->next >= segment_end_locked(e, s)))
            return advance_locked(e, s, frame, work);
    }
    *idle = true;
    return 0;
}

static void *encoders_main(void *argument)
{
    struct Thread *thread = argument;
    ResrSegmentEncoders *e = thread->encoders;
    pthread_mutex_lock(&e->lock);
    while (!e->stop) {
        bool idle;
        resr_busy_timer_begin(&thread->work);
        int ret = work_once_locked(e, &thread->work, &idle);
        if (idle)
            thread->work.since_ns = 0;
        else
            resr_busy_timer_end(&thread->work);
        if (ret < 0 && !e->stop) {
            e->stop = true;
            e->config.failed(e->config.user, ret);
            pthread_cond_broadcast(&e->changed);
        } else if (idle && !e->stop) {
            pthread_cond_wait(&e->changed, &e->lock);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

int resr_segment_encoders_start(ResrSegmentEncoders **out, const ResrSegmentEncodersConfig *config)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrSegmentEncoders *e = *out;
    *e = (ResrSegmentEncoders){.config = *config, .end = INT64_MAX};
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    resr_av_quiet();
    /* Rank 0 chose the pixel format; here the container is not known. */
    ResrEncodeOptions options = *config->options;
    if (config->tags.pix_fmt[0])
        snprintf(options.pix_fmt, sizeof options.pix_fmt, "%s", config->tags.pix_fmt);
    ret = resr_encoding_plan(&e->encoding, "", false, &config->input, config->format.width_px,
                             config->format.height_px, &options);
    resr_encoding_tag(&e->encoding, &config->tags);
    if (ret == 0)
        ret = resr_alloc(&e->threads, (size_t)config->threads, sizeof *e->threads);
    for (int i = 0; ret == 0 && i < config->threads; i++) {
        e->threads[i].encoders = e;
        if (pthread_create(&e->threads[i].id, NULL, encoders_main, &e->threads[i]) != 0)
            ret = resr_fail(RESR_ERR_INTERNAL, "a segment encoder's thread cannot be started");
        else
            e->threads_started++;
    }
    if (ret < 0) {
        resr_segment_encoders_free(e);
        *out = NULL;
    }
    return ret;
}

/* *out: the segment of a frame, opened if need be; NULL if that segment is finished. */
static int segment_of_locked(Segment **out, ResrSegmentEncoders *e, int64_t index)
{
    int64_t length = e->config.options->segment_frames, number = length > 0 ? index / length : 0;
    Segment **place = &e->segments;
    while (*place && (*place)->number < number)
        place = &(*place)->after;
    *out = *place && (*place)->number == number ? *place : NULL;
    if (*out || is_finished_locked(e, number))
        return 0;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    int64_t first = number * length;
    **out =
        (Segment){.encoders = e, .number = number, .first = first, .next = first, .after = *place};
    *place = *out;
    return 0;
}

static bool has_arrived_locked(const Segment *s, int64_t index)
{
    for (size_t i = 0; i < s->waiting_count; i++)
        if (s->waiting[i]->index == index)
            return true;
    /* s->next is still the index of a frame that is being encoded. */
    return index < s->next || (s->busy && index == s->next);
}

static int add_frame_locked(ResrSegmentEncoders *e, ResrFrame *frame)
{
    Segment *s;
    int ret = segment_of_locked(&s, e, frame->index);
    if (ret < 0)
        return ret;
    if (!s || has_arrived_locked(s, frame->index)) {
        resr_frame_free(frame);
        return 0;
    }
    ret = resr_grow(&s->waiting, &s->waiting_capacity, s->waiting_count, sizeof *s->waiting);
    if (ret < 0)
        return ret;
    s->waiting[s->waiting_count++] = frame;
    e->waiting++;
    return 0;
}

void resr_segment_encoders_add_frame(ResrSegmentEncoders *e, ResrFrame *frame)
{
    pthread_mutex_lock(&e->lock);
    int ret = e->stop ? RESR_ERR_STOPPED : add_frame_locked(e, frame);
    if (ret < 0)
        resr_frame_free(frame);
    if (ret < 0 && !e->stop) {
        e->stop = true;
        e->config.failed(e->config.user, ret);
    }
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

void resr_segment_encoders_import_segment(ResrSegmentEncoders *e, ResrSegment *segment)
{
    pthread_mutex_lock(&e->lock);
    segment->next = e->imports;
    e->imports = segment;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

void resr_segment_encoders_end(ResrSegmentEncoders *e, int64_t frames)
{
    pthread_mutex_lock(&e->lock);
    e->end = frames;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

int64_t resr_segment_encoders_frames(const ResrSegmentEncoders *e)
{
    return e->frames;
}

int64_t resr_segment_encoders_backlog(const ResrSegmentEncoders *e)
{
    return e->waiting;
}

int64_t resr_segment_encoders_packets(const ResrSegmentEncoders *e)
{
    return e->packets;
}

double resr_segment_encoders_hashing(const ResrSegmentEncoders *e)
{
    return (double)e->hashing_ns * 1e-9;
}

double resr_segment_encoders_seconds(const ResrSegmentEncoders *e)
{
    double seconds = 0;
    for (int i = 0; i < e->config.threads; i++)
        seconds += (double)e->threads[i].work.total_ns * 1e-9;
    return seconds;
}

void resr_segment_encoders_stall(const ResrSegmentEncoders *e, double *now, double *longest)
{
    for (int i = 0; i < e->config.threads; i++)
        resr_busy_timer_stall(&e->threads[i].work, now, longest);
}

void resr_segment_encoders_stop(ResrSegmentEncoders *e)
{
    if (!e)
        return;
    resr_flag_raise(&e->stop, &e->lock, &e->changed);
    for (int i = 0; i < e->threads_started; i++)
        pthread_join(e->threads[i].id, NULL);
    e->threads_started = 0;
    while (e->segments)
        remove_segment_locked(e, e->segments);
    while (e->imports) {
        ResrSegment *import = e->imports;
        e->imports = import->next;
        resr_segment_free(import);
    }
}

void resr_segment_encoders_free(ResrSegmentEncoders *e)
{
    if (!e)
        return;
    resr_segment_encoders_stop(e);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    avcodec_parameters_free(&e->first_encoder);
    free(e->finished);
    free(e->threads);
    free(e);
}
