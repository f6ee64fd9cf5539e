#include "media/segment_encoders.h"

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/busy_timer.h"
#include "base/events.h"
#include "base/memory.h"
#include "base/publish.h"
#include "media/encode.h"
#include "media/libav.h"
#include "media/segment.h"

/* A segment that is not finished. Whoever set `busy` has it to himself but for `waiting`. */
typedef struct Segment {
    int64_t number, first, next; /* next: the frame that the encoder wants */
    bool busy, open;
    ResrEncoder encoder;
    ResrSegmentWriter writer;
    int64_t packets;
    ResrSegmentEncoders *encoders;
    ResrBusyTimer *work; /* of the thread that is at it */
    size_t capacity;     /* of out->frames */
    ResrSegment *out;
    ResrFrame **waiting; /* in no order */
    int waiting_count, waiting_capacity;
    struct Segment *after; /* by number */
} Segment;

struct ResrSegmentEncoders {
    ResrSegmentEncodersConfig parts;
    ResrEncoding encoding;
    pthread_mutex_t lock; /* of what follows, up to the counters */
    pthread_cond_t changed;
    Segment *segments;
    ResrSegment *adopted; /* a list, by `after` */
    int64_t *finished;    /* numbers of segments; frames of theirs are dropped */
    size_t finished_count, finished_capacity;
    int64_t end;        /* of the video; INT64_MAX: not known */
    uint8_t *extradata; /* of the first encoder: its headers hold for all */
    int extradata_bytes;
    bool stop, has_headers;
    atomic_llong frames, waiting, packets, hashing_ns;
    int threads_started;
    struct Thread {
        ResrSegmentEncoders *encoders;
        pthread_t id;
        ResrBusyTimer work;
    } * threads;
};

void resr_segment_free(ResrSegment *segment)
{
    if (!segment)
        return;
    if (segment->path[0])
        unlink(segment->path);
    free(segment->frames);
    free(segment->data);
    free(segment);
}

static int64_t segment_end(const ResrSegmentEncoders *e, const Segment *s)
{
    int64_t length = e->parts.options->segment_frames;
    int64_t end = length > 0 ? s->first + length : INT64_MAX;
    return end < e->end ? end : e->end;
}

static void free_segment(ResrSegmentEncoders *e, Segment *s)
{
    resr_encoder_close(&s->encoder);
    resr_segment_abandon(&s->writer);
    for (int i = 0; i < s->waiting_count; i++)
        resr_frame_free(s->waiting[i]);
    e->waiting -= s->waiting_count;
    resr_segment_free(s->out);
    free(s->waiting);
    free(s);
}

/* The first encoder's headers hold for all. */
static int compare_headers(ResrSegmentEncoders *e, const AVCodecContext *context)
{
    size_t bytes = (size_t)context->extradata_size;
    int ret = 0;
    pthread_mutex_lock(&e->lock);
    if (!e->has_headers) {
        ret = resr_alloc(&e->extradata, bytes + 1, 1);
        if (ret == 0 && bytes > 0)
            memcpy(e->extradata, context->extradata, bytes);
        e->extradata_bytes = context->extradata_size;
        e->has_headers = ret == 0;
    } else if (context->extradata_size != e->extradata_bytes ||
               (bytes > 0 && memcmp(context->extradata, e->extradata, bytes) != 0)) {
        ret = resr_fail(RESR_ERR_INTERNAL,
                        "encoder %s gives each segment other headers; use --segment 0 with it",
                        e->encoding.codec->name);
    }
    pthread_mutex_unlock(&e->lock);
    return ret;
}

static int open_segment(ResrSegmentEncoders *e, Segment *s)
{
    char path[PATH_MAX];
    int ret = resr_alloc(&s->out, 1, sizeof *s->out);
    if (ret == 0)
        ret = resr_encoder_open(&s->encoder, &e->encoding);
    if (ret == 0)
        ret = compare_headers(e, s->encoder.context);
    if (ret < 0)
        return ret;
    s->open = true;
    s->out->info = (ResrSegmentInfo){
        .number = s->number, .first = s->first, .reorder = s->encoder.context->has_b_frames};
    if (e->parts.path) {
        e->parts.path(e->parts.user, path, s->number);
        ret = resr_publish_temporary(s->out->path, sizeof s->out->path, path);
    }
    return ret < 0 ? ret
                   : resr_segment_create(&s->writer, e->parts.path ? s->out->path : NULL,
                                         s->encoder.context);
}

static int store_packet(void *user, AVPacket *packet)
{
    Segment *s = user;
    s->encoders->packets++;
    resr_busy_timer_end(s->work); /* a flush gets on packet by packet */
    resr_busy_timer_begin(s->work);
    /* Not every encoder says how far it reorders; the first packet's dts does. */
    if (s->packets++ == 0 && packet->dts != AV_NOPTS_VALUE && -packet->dts > s->out->info.reorder)
        s->out->info.reorder = (int)-packet->dts;
    return resr_segment_write(&s->writer, packet);
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
    int status = resr_frame_verify(frame, &e->parts.format);
    e->hashing_ns += resr_clock_ns() - hash_ns;
    if (status < 0)
        return resr_fail_prefix(RESR_ERR_STOPPED, "run the same command again: ");
    int ret = s->open ? 0 : open_segment(e, s);
    if (ret == 0)
        ret = remember_frame(s, frame);
    if (ret == 0)
        ret = resr_encoder_write(&s->encoder, &e->encoding, frame, store_packet, s);
    resr_events_add(&(ResrEvent){.start_ns = start_ns,
                                 .end_ns = resr_events_now(),
                                 .first = frame->index,
                                 .frames = 1,
                                 .peer = -1,
                                 .stage = RESR_STAGE_ENCODE});
    e->frames += ret == 0;
    return ret;
}

/* What the encoder holds, and the end of the file; the segment goes to whoever wants it. */
static int finish_segment(ResrSegmentEncoders *e, Segment *s)
{
    ResrSegment *out = s->out;
    e->waiting++;
    int ret = resr_encoder_write(&s->encoder, &e->encoding, NULL, store_packet, s);
    e->waiting--;
    if (ret == 0 && s->packets != out->info.frames)
        ret = resr_fail(RESR_ERR_INTERNAL,
                        "encoder %s was given %" PRId64 " frames and returned %" PRId64 " packets",
                        e->encoding.codec->name, out->info.frames, s->packets);
    if (ret == 0 && out->path[0])
        ret = resr_segment_end(&s->writer);
    else if (ret == 0)
        ret = resr_segment_take(&s->writer, &out->data, &out->info.bytes);
    if (ret == 0 && out->path[0])
        ret = resr_hash_file(&out->info.hash, &out->info.bytes, out->path);
    else if (ret == 0)
        out->info.hash = resr_hash_bytes(out->data, (size_t)out->info.bytes);
    if (ret < 0)
        return ret;
    s->out = NULL;
    return e->parts.finished(e->parts.user, out);
}

static int take_adopted(ResrSegmentEncoders *e, ResrSegment *segment)
{
    ResrHash hash = resr_hash_bytes(segment->data, (size_t)segment->info.bytes);
    if (memcmp(&hash, &segment->info.hash, sizeof hash) == 0)
        return e->parts.finished(e->parts.user, segment);
    int ret = resr_fail(RESR_ERR_STOPPED,
                        "run the same command again: segment %" PRId64 " was damaged on its way",
                        segment->info.number);
    resr_segment_free(segment);
    return ret;
}

/* With the lock: the frame that the segment's encoder wants, if it is there. */
static ResrFrame *take_next(ResrSegmentEncoders *e, Segment *s)
{
    for (int i = 0; i < s->waiting_count; i++) {
        ResrFrame *frame = s->waiting[i];
        if (frame->index != s->next)
            continue;
        s->waiting[i] = s->waiting[--s->waiting_count];
        e->waiting--;
        return frame;
    }
    return NULL;
}

static void remove_segment(ResrSegmentEncoders *e, Segment *s)
{
    Segment **place = &e->segments;
    while (*place != s)
        place = &(*place)->after;
    *place = s->after;
    free_segment(e, s);
}

/* With the lock. */
static int remember_finished(ResrSegmentEncoders *e, int64_t number)
{
    int ret =
        resr_grow(&e->finished, &e->finished_capacity, e->finished_count, sizeof *e->finished);
    if (ret == 0)
        e->finished[e->finished_count++] = number;
    return ret;
}

static bool is_finished(const ResrSegmentEncoders *e, int64_t number)
{
    for (size_t i = e->finished_count; i > 0; i--)
        if (e->finished[i - 1] == number)
            return true;
    return false;
}

/* With the lock, which it lets go of meanwhile: one frame of a segment, or its end. */
static int advance(ResrSegmentEncoders *e, Segment *s, ResrFrame *frame, ResrBusyTimer *work)
{
    bool complete = !frame;
    int ret = 0;
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
        ret = remember_finished(e, s->number);
    if (complete || ret < 0)
        remove_segment(e, s);
    return ret;
}

/* With the lock: something to do, done. *idle: there was nothing. */
static int do_something(ResrSegmentEncoders *e, ResrBusyTimer *work, bool *idle)
{
    ResrSegment *adopted = e->adopted;
    *idle = false;
    if (adopted) {
        e->adopted = adopted->after;
        pthread_mutex_unlock(&e->lock);
        int ret = take_adopted(e, adopted);
        pthread_mutex_lock(&e->lock);
        return ret;
    }
    for (Segment *s = e->segments; s; s = s->after) {
        ResrFrame *frame = s->busy ? NULL : take_next(e, s);
        if (frame || (!s->busy && s->open && s->next >= segment_end(e, s)))
            return advance(e, s, frame, work);
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
        int ret = do_something(e, &thread->work, &idle);
        if (idle)
            thread->work.since_ns = 0;
        else
            resr_busy_timer_end(&thread->work);
        if (ret < 0 && !e->stop) {
            e->stop = true;
            e->parts.failed(e->parts.user, ret);
            pthread_cond_broadcast(&e->changed);
        } else if (idle && !e->stop) {
            pthread_cond_wait(&e->changed, &e->lock);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

int resr_segment_encoders_start(ResrSegmentEncoders **out, const ResrSegmentEncodersConfig *parts)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrSegmentEncoders *e = *out;
    e->parts = *parts;
    e->end = INT64_MAX;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    resr_av_quiet();
    /* Rank 0 knew the container when it chose the pixel format. */
    ResrEncodeOptions options = *parts->options;
    if (parts->tags.pix_fmt[0])
        snprintf(options.pix_fmt, sizeof options.pix_fmt, "%s", parts->tags.pix_fmt);
    ret = resr_encoding_plan(&e->encoding, "", false, &parts->input, parts->format.width_px,
                             parts->format.height_px, &options);
    resr_encoding_tag(&e->encoding, &parts->tags);
    if (ret == 0)
        ret = resr_alloc(&e->threads, (size_t)parts->threads, sizeof *e->threads);
    for (int i = 0; ret == 0 && i < parts->threads; i++) {
        e->threads[i].encoders = e;
        if (pthread_create(&e->threads[i].id, NULL, encoders_main, &e->threads[i]) != 0)
            ret = resr_fail(RESR_ERR_INTERNAL, "the encoders' threads cannot be started");
        else
            e->threads_started++;
    }
    if (ret < 0) {
        resr_segment_encoders_free(e);
        *out = NULL;
    }
    return ret;
}

/* With the lock: the segment of a frame, a new one if need be; NULL if it is finished. */
static int segment_of(Segment **out, ResrSegmentEncoders *e, int64_t index)
{
    int64_t length = e->parts.options->segment_frames, number = length > 0 ? index / length : 0;
    Segment **place = &e->segments;
    while (*place && (*place)->number < number)
        place = &(*place)->after;
    *out = *place && (*place)->number == number ? *place : NULL;
    if (*out || is_finished(e, number))
        return 0;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    Segment *s = *out;
    s->encoders = e;
    s->number = number;
    s->first = s->next = number * length;
    s->after = *place;
    *place = s;
    return 0;
}

static bool is_there(const Segment *s, int64_t index)
{
    for (int i = 0; i < s->waiting_count; i++)
        if (s->waiting[i]->index == index)
            return true;
    /* The frame that is being encoded is s->next still. */
    return index < s->next || (s->busy && index == s->next);
}

static int add_frame(ResrSegmentEncoders *e, ResrFrame *frame)
{
    Segment *s;
    int ret = segment_of(&s, e, frame->index);
    if (ret < 0)
        return ret;
    if (!s || is_there(s, frame->index)) {
        resr_frame_free(frame);
        return 0;
    }
    if (s->waiting_count == s->waiting_capacity) {
        int capacity = s->waiting_capacity ? 2 * s->waiting_capacity : 16;
        ResrFrame **grown = realloc(s->waiting, (size_t)capacity * sizeof(ResrFrame *));
        if (!grown)
            return resr_fail(RESR_ERR_INTERNAL, "out of memory: %d frames", capacity);
        s->waiting = grown;
        s->waiting_capacity = capacity;
    }
    s->waiting[s->waiting_count++] = frame;
    e->waiting++;
    return 0;
}

void resr_segment_encoders_add_frame(ResrSegmentEncoders *e, ResrFrame *frame)
{
    pthread_mutex_lock(&e->lock);
    int ret = e->stop ? RESR_ERR_STOPPED : add_frame(e, frame);
    if (ret < 0)
        resr_frame_free(frame);
    if (ret < 0 && !e->stop) {
        e->stop = true;
        e->parts.failed(e->parts.user, ret);
    }
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

void resr_segment_encoders_import_segment(ResrSegmentEncoders *e, ResrSegment *segment)
{
    pthread_mutex_lock(&e->lock);
    segment->after = e->adopted;
    e->adopted = segment;
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
    for (int i = 0; i < e->parts.threads; i++)
        seconds += (double)e->threads[i].work.total_ns * 1e-9;
    return seconds;
}

void resr_segment_encoders_stall(const ResrSegmentEncoders *e, double *now, double *longest)
{
    for (int i = 0; i < e->parts.threads; i++)
        resr_busy_timer_stall(&e->threads[i].work, now, longest);
}

void resr_segment_encoders_stop(ResrSegmentEncoders *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    for (int i = 0; i < e->threads_started; i++)
        pthread_join(e->threads[i].id, NULL);
    e->threads_started = 0;
    while (e->segments)
        remove_segment(e, e->segments);
    while (e->adopted) {
        ResrSegment *after = e->adopted->after;
        resr_segment_free(e->adopted);
        e->adopted = after;
    }
}

void resr_segment_encoders_free(ResrSegmentEncoders *e)
{
    if (!e)
        return;
    resr_segment_encoders_stop(e);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    free(e->extradata);
    free(e->finished);
    free(e->threads);
    free(e);
}
