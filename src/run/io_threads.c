#include "run/io_threads.h"

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

struct ResrIoThreads {
    ResrIoThreadsParts parts;
    sem_t credits;
    ResrQueue *decoded, *encode;
    ResrSegmentEncoders *encoders; /* NULL: the sink takes frames, not segments */
    pthread_t decode_thread, encode_thread;
    bool decode_started, encode_started;
    bool whole; /* the decoder came to the input's end */
    atomic_bool decode_ended, stop, stop_decoding, finished;
    atomic_llong encoded;
    atomic_bool finishing, committing;
    int64_t finish_packets, finish_ns; /* of resr_io_threads_finish_stall() */
    ResrBusyTimer decoding, encoding;
    atomic_llong hashing_ns;     /* of decoded frames */
    pthread_mutex_t commit_lock; /* of the sink and the ledger, where there are encoders */
    pthread_cond_t committed;    /* or failed, or stopped */
    int64_t committed_frames;
    ResrQueue *told;      /* --encode ranks: segments that were committed, for the main thread */
    pthread_mutex_t lock; /* of status, error and the sink's pointer */
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
static void record_error(ResrIoThreads *pipeline, int status)
{
    pthread_mutex_lock(&pipeline->lock);
    if (pipeline->status == 0) {
        pipeline->status = status;
        snprintf(pipeline->error, sizeof pipeline->error, "%s", resr_error_text());
    }
    pthread_mutex_unlock(&pipeline->lock);
}

/* Index after the last frame that must be decoded; INT64_MAX when that is not known. */
static int64_t decode_end(const ResrIoThreads *pipeline)
{
    const ResrCheckpoint *checkpoint = pipeline->parts.checkpoint;
    int64_t end = checkpoint ? resr_checkpoint_frames_total(checkpoint) : -1;
    if (end < 0)
        return INT64_MAX;
    while (end > 0 && resr_checkpoint_stage(checkpoint, end - 1) != RESR_FRAME_DECODED)
        end--;
    return end;
}

/* Frame `index` as an earlier attempt left it, if it did; `decoded` (may be NULL) is what the
 * decoder has for it and is freed when it is not needed. */
static int restore(ResrIoThreads *pipeline, ResrFrame **out, ResrFrame *decoded, int64_t index)
{
    ResrCheckpoint *checkpoint = pipeline->parts.checkpoint;
    ResrFrameStage stage =
        checkpoint ? resr_checkpoint_stage(checkpoint, index) : RESR_FRAME_DECODED;
    int ret = 0;
    *out = NULL;
    if (stage == RESR_FRAME_DURABLE)
        ret = resr_frame_create_mark(out);
    else if (stage == RESR_FRAME_UPSCALED)
        ret = resr_checkpoint_load(checkpoint, out, index);
    if (ret == RESR_ERR_DATA && decoded) {
        resr_log_warn("%s; it is made again", resr_error_text());
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

/* Decoding goes on behind the frames of finished segments, where it can. *from: the first frame
 * that is decoded. */
static int skip_finished(ResrIoThreads *pipeline, int64_t *from)
{
    char hash[RESR_HASH_HEX_BYTES];
    int64_t pts;
    bool found = false;
    const ResrCheckpoint *checkpoint = pipeline->parts.checkpoint;
    int64_t last = checkpoint ? resr_checkpoint_source(checkpoint, &pts, hash) : -1;
    int ret = 0;
    *from = 0;
    if (last >= 0)
        ret = resr_decoder_skip(pipeline->parts.decoder, &found, last, pts, hash);
    if (found)
        *from = last + 1;
    if (found)
        resr_log_info("decoding goes on at frame %" PRId64, *from);
    return ret;
}

/* The next frame, or NULL at the end of the input; frames from .. end - 1 are decoded. */
static int next_frame(ResrIoThreads *pipeline, ResrFrame **out, int64_t index, int64_t from,
                      int64_t end)
{
    ResrFrame *decoded = NULL;
    int64_t total =
        pipeline->parts.checkpoint ? resr_checkpoint_frames_total(pipeline->parts.checkpoint) : -1;
    *out = NULL;
    if (index >= from && index < end) {
        int ret = resr_decoder_read(pipeline->parts.decoder, &decoded);
        if (ret < 0 || !decoded)
            return ret;
    } else if (index >= from && index >= total) {
        return 0;
    }
    int ret = restore(pipeline, out, decoded, index);
    int64_t start_ns = resr_clock_ns();
    if (ret == 0 && *out && (*out)->stage == RESR_FRAME_DECODED)
        resr_frame_hash((*out)->hash, &pipeline->parts.plan->input, *out);
    pipeline->hashing_ns += resr_clock_ns() - start_ns;
    return ret;
}

/* No more frames are wanted. A decoder that waits for its file then ends without an error. */
static bool is_stopped(const ResrIoThreads *pipeline)
{
    return pipeline->stop || pipeline->stop_decoding || resr_stop_signal();
}

static void *decode_main(void *argument)
{
    ResrIoThreads *pipeline = argument;
    int64_t end = decode_end(pipeline), from, n = 0;
    bool at_end = false;
    int ret = skip_finished(pipeline, &from);
    if (ret == RESR_ERR_STOPPED && is_stopped(pipeline))
        return NULL;
    for (; ret == 0 && (pipeline->parts.max_frames == 0 || n < pipeline->parts.max_frames); n++) {
        ResrFrame *frame = NULL;
        while (sem_wait(&pipeline->credits) != 0) {
            /* interrupted by a signal */
        }
        if (is_stopped(pipeline))
            return NULL;
        resr_busy_timer_begin(&pipeline->decoding);
        int64_t start_ns = pipeline->decoding.since_ns;
        ret = next_frame(pipeline, &frame, n, from, end);
        int64_t end_ns = resr_busy_timer_end(&pipeline->decoding);
        if (frame)
            record(RESR_STAGE_DECODE, start_ns, end_ns, n, 1);
        if (ret == RESR_ERR_STOPPED && is_stopped(pipeline))
            return NULL;
        at_end = ret == 0 && !frame;
        if (ret < 0 || !frame)
            break;
        frame->credit = &pipeline->credits;
        if (!resr_queue_push(pipeline->decoded, frame)) {
            resr_frame_free(frame);
            return NULL;
        }
    }
    pipeline->whole = at_end;
    if (ret == 0 && pipeline->parts.checkpoint)
        ret = resr_checkpoint_end_of_input(pipeline->parts.checkpoint, n);
    if (ret < 0)
        record_error(pipeline, ret);
    else
        pipeline->decode_ended = true;
    return NULL;
}

/* Names a finished segment's file and then records the segment in the journal. */
static int make_durable(ResrIoThreads *pipeline, ResrSegment *segment)
{
    const ResrSegmentInfo *info = &segment->info;
    int64_t start_ns = resr_events_now();
    pipeline->committing = true;
    int ret = resr_sink_add(pipeline->parts.sink, segment);
    if (ret == 0)
        ret = resr_checkpoint_commit(pipeline->parts.checkpoint, info, pipeline->parts.ledger);
    pipeline->committing = false;
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

/* A finished segment comes from one of the encoders. */
static int commit_segment(void *user, ResrSegment *segment)
{
    ResrIoThreads *pipeline = user;
    const ResrSegmentInfo *info = &segment->info;
    int ret = 0;
    pthread_mutex_lock(&pipeline->commit_lock);
    if (resr_sink_has(pipeline->parts.sink, info->number)) { /* of an owner that was given up */
        pthread_mutex_unlock(&pipeline->commit_lock);
        resr_segment_free(segment);
        return 0;
    }
    for (int64_t i = 0; i < info->frames && ret == 0; i++)
        ret = resr_frame_table_set(pipeline->parts.ledger, info->first + i, &segment->frames[i]);
    if (ret == 0)
        ret = make_durable(pipeline, segment);
    if (ret == 0)
        pipeline->committed_frames += info->frames;
    pthread_cond_signal(&pipeline->committed);
    pthread_mutex_unlock(&pipeline->commit_lock);
    if (ret < 0 || !pipeline->parts.plan->encode_ranks || !resr_queue_push(pipeline->told, segment))
        resr_segment_free(segment);
    return ret;
}

static void segment_path(void *user, char *out, int64_t number)
{
    ResrIoThreads *pipeline = user;
    resr_checkpoint_segment_path(pipeline->parts.checkpoint, out, number);
}

static void encoding_failed(void *user, int status)
{
    ResrIoThreads *pipeline = user;
    record_error(pipeline, status);
    pthread_mutex_lock(&pipeline->commit_lock);
    pthread_cond_signal(&pipeline->committed);
    pthread_mutex_unlock(&pipeline->commit_lock);
}

static int start_encoders(ResrIoThreads *pipeline)
{
    const ResrPlan *plan = pipeline->parts.plan;
    ResrSegmentEncodersConfig config = {.input = plan->stored,
                                        .format = plan->output,
                                        .options = &plan->encode,
                                        .tags = plan->tags,
                                        .threads = plan->encode.encoders,
                                        .user = pipeline,
                                        .path = segment_path,
                                        .finished = commit_segment,
                                        .failed = encoding_failed};
    return resr_segment_encoders_start(&pipeline->encoders, &config);
}

/* Hands a frame on, or encodes it here; frees it. */
static int encode_frame(ResrIoThreads *pipeline, ResrFrame *frame)
{
    ResrFrameRecord record;
    int ret = 0;
    if (frame->stage != RESR_FRAME_DURABLE && pipeline->encoders) {
        resr_segment_encoders_add_frame(pipeline->encoders, frame);
        return 0;
    }
    if (frame->stage != RESR_FRAME_DURABLE) {
        if (resr_frame_verify(frame, &pipeline->parts.plan->output) < 0)
            ret = resr_fail_prefix(RESR_ERR_STOPPED, "run the same command again: ");
        resr_frame_describe(&record, frame);
        if (ret == 0)
            ret = resr_frame_table_set(pipeline->parts.ledger, frame->index, &record);
        if (ret == 0)
            ret = resr_sink_write(pipeline->parts.sink, frame);
    }
    /* A message to a rank that hangs may hold the frame to the end. */
    if (frame->stage == RESR_FRAME_DURABLE && frame->credit) {
        sem_post(frame->credit);
        frame->credit = NULL;
    }
    resr_frame_free(frame);
    pipeline->encoded += ret == 0;
    return ret;
}

/* All frames were given: waits until the segments of `frames` of them are committed. */
static int finish_segments(ResrIoThreads *pipeline, int64_t frames, int64_t end)
{
    resr_segment_encoders_end(pipeline->encoders, end);
    pthread_mutex_lock(&pipeline->commit_lock);
    while (pipeline->committed_frames < frames && !pipeline->stop &&
           resr_io_threads_status(pipeline) == 0)
        pthread_cond_wait(&pipeline->committed, &pipeline->commit_lock);
    pthread_mutex_unlock(&pipeline->commit_lock);
    return pipeline->stop ? RESR_ERR_STOPPED : resr_io_threads_status(pipeline);
}

static int finish_output(ResrIoThreads *pipeline)
{
    if (resr_io_threads_encoded(pipeline) == 0)
        return resr_fail(RESR_ERR_DATA, "the input holds no frame that can be decoded");
    if (pipeline->parts.framehash[0]) {
        int ret = resr_frame_table_write(pipeline->parts.ledger, pipeline->parts.framehash);
        if (ret < 0)
            return ret;
    }
    return resr_sink_finish(pipeline->parts.sink, pipeline->whole);
}

static void *encode_main(void *argument)
{
    ResrIoThreads *pipeline = argument;
    ResrFrame *frame;
    int64_t given = 0, end = 0;
    int ret = 0;
    while (ret == 0 && !pipeline->stop && (frame = resr_queue_pop(pipeline->encode))) {
        int64_t index = frame->index;
        bool made = frame->stage != RESR_FRAME_DURABLE;
        given += made;
        end = index + 1;
        resr_busy_timer_begin(&pipeline->encoding);
        int64_t start_ns = pipeline->encoding.since_ns;
        ret = encode_frame(pipeline, frame);
        int64_t end_ns = resr_busy_timer_end(&pipeline->encoding);
        if (made && !pipeline->encoders)
            record(RESR_STAGE_ENCODE, start_ns, end_ns, index, 1);
    }
    if (ret == 0 && !pipeline->stop && pipeline->encoders)
        ret = finish_segments(pipeline, given, end);
    int64_t start_ns = resr_clock_ns();
    pipeline->finishing = true;
    if (ret == 0 && !pipeline->stop)
        ret = finish_output(pipeline);
    pipeline->finishing = false;
    int64_t end_ns = resr_clock_ns();
    pipeline->encoding.total_ns += end_ns - start_ns;
    record(RESR_STAGE_FINISH, start_ns, end_ns, 0, 0);
    if (ret < 0)
        record_error(pipeline, ret);
    pipeline->finished = true;
    return NULL;
}

int resr_io_threads_start(ResrIoThreads **out, const ResrIoThreadsParts *parts)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrIoThreads *pipeline = *out;
    size_t pool = (size_t)parts->plan->pool_frames;
    pipeline->parts = *parts;
    pthread_mutex_init(&pipeline->lock, NULL);
    pthread_mutex_init(&pipeline->commit_lock, NULL);
    pthread_cond_init(&pipeline->committed, NULL);
    sem_init(&pipeline->credits, 0, (unsigned)pool);
    ret = resr_queue_create(&pipeline->decoded, pool);
    if (ret == 0)
        ret = resr_queue_create(&pipeline->encode, pool);
    if (ret == 0)
        ret = resr_queue_create(&pipeline->told, pool + 1);
    if (ret == 0 && resr_sink_stored(parts->sink))
        ret = start_encoders(pipeline);
    if (ret == 0) {
        pipeline->decode_started =
            pthread_create(&pipeline->decode_thread, NULL, decode_main, pipeline) == 0;
        pipeline->encode_started =
            pthread_create(&pipeline->encode_thread, NULL, encode_main, pipeline) == 0;
        if (!pipeline->decode_started || !pipeline->encode_started)
            ret = resr_fail(RESR_ERR_INTERNAL,
                            "the decoder's and encoder's threads cannot be started");
    }
    if (ret < 0) {
        resr_io_threads_stop(pipeline);
        resr_io_threads_free(pipeline);
        *out = NULL;
    }
    return ret;
}

ResrFrame *resr_io_threads_next(ResrIoThreads *pipeline)
{
    return resr_queue_try_pop(pipeline->decoded);
}

bool resr_io_threads_at_end(ResrIoThreads *pipeline)
{
    return pipeline->decode_ended && resr_queue_length(pipeline->decoded) == 0;
}

void resr_io_threads_stop_decoding(ResrIoThreads *pipeline)
{
    pipeline->stop_decoding = true;
    resr_decoder_stop(pipeline->parts.decoder);
    resr_queue_close(pipeline->decoded);
}

void resr_io_threads_give(ResrIoThreads *pipeline, ResrFrame *frame)
{
    if (!resr_queue_try_push(pipeline->encode, frame))
        resr_frame_free(frame);
}

void resr_io_threads_gather(ResrIoThreads *pipeline, ResrFrame *frame)
{
    resr_segment_encoders_add_frame(pipeline->encoders, frame);
}

void resr_io_threads_adopt(ResrIoThreads *pipeline, ResrSegment *segment)
{
    resr_segment_encoders_import_segment(pipeline->encoders, segment);
}

void resr_io_threads_end(ResrIoThreads *pipeline, int64_t frames)
{
    resr_segment_encoders_end(pipeline->encoders, frames);
}

bool resr_io_threads_committed(ResrIoThreads *pipeline, int64_t *first, int64_t *frames)
{
    ResrSegment *segment = resr_queue_try_pop(pipeline->told);
    if (!segment)
        return false;
    *first = segment->info.first;
    *frames = segment->info.frames;
    resr_segment_free(segment);
    return true;
}

int64_t resr_io_threads_encoded(const ResrIoThreads *pipeline)
{
    bool marked = !pipeline->encoders || pipeline->parts.plan->encode_ranks;
    return pipeline->encoded + (marked ? 0 : resr_segment_encoders_frames(pipeline->encoders));
}

int resr_io_threads_status(ResrIoThreads *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    int status = pipeline->status;
    if (status < 0)
        resr_fail(status, "%s", pipeline->error);
    pthread_mutex_unlock(&pipeline->lock);
    return status;
}

void resr_io_threads_finish(ResrIoThreads *pipeline)
{
    resr_queue_close(pipeline->encode);
}

bool resr_io_threads_finished(const ResrIoThreads *pipeline)
{
    return pipeline->finished;
}

ResrIoThreadsState resr_io_threads_state(ResrIoThreads *pipeline)
{
    int credits = 0;
    sem_getvalue(&pipeline->credits, &credits);
    int64_t backlog = pipeline->encoders ? resr_segment_encoders_backlog(pipeline->encoders)
                                         : (int64_t)resr_queue_length(pipeline->encode);
    return (ResrIoThreadsState){.decoder_rests = pipeline->decode_ended ||
                                                 (pipeline->decoding.since_ns == 0 && credits <= 0),
                                .backlog = pipeline->finishing || backlog > 0,
                                .committing = pipeline->committing};
}

void resr_io_threads_seconds(const ResrIoThreads *pipeline, ResrTimes *times)
{
    const ResrSegmentEncoders *encoders = pipeline->encoders;
    times->decode = (double)pipeline->decoding.total_ns * 1e-9;
    times->encode = (double)pipeline->encoding.total_ns * 1e-9;
    times->hash = (double)pipeline->hashing_ns * 1e-9;
    if (!encoders)
        return;
    times->encode += resr_segment_encoders_seconds(encoders);
    times->hash += resr_segment_encoders_hashing(encoders);
}

void resr_io_threads_stall(const ResrIoThreads *pipeline, double *now, double *longest)
{
    *now = *longest = 0;
    resr_busy_timer_stall(&pipeline->decoding, now, longest);
    resr_busy_timer_stall(&pipeline->encoding, now, longest);
    if (pipeline->encoders)
        resr_segment_encoders_stall(pipeline->encoders, now, longest);
}

double resr_io_threads_finish_stall(ResrIoThreads *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    bool finishing = pipeline->finishing && pipeline->parts.sink;
    int64_t packets = finishing ? resr_sink_packets(pipeline->parts.sink) : -1;
    pthread_mutex_unlock(&pipeline->lock);
    if (!finishing || !pipeline->finish_ns || packets != pipeline->finish_packets) {
        pipeline->finish_packets = packets;
        pipeline->finish_ns = resr_clock_ns();
    }
    return resr_clock_seconds_since(pipeline->finish_ns);
}

static void free_frame(void *item)
{
    resr_frame_free(item);
}

static void free_told(void *item)
{
    resr_segment_free(item);
}

void resr_io_threads_stop(ResrIoThreads *pipeline)
{
    if (!pipeline)
        return;
    pipeline->stop = true;
    resr_decoder_stop(pipeline->parts.decoder);
    if (pipeline->parts.sink)
        resr_sink_stop(pipeline->parts.sink);
    if (pipeline->decoded)
        resr_queue_close(pipeline->decoded);
    if (pipeline->encode)
        resr_queue_close(pipeline->encode);
    if (pipeline->told)
        resr_queue_close(pipeline->told);
    sem_post(&pipeline->credits);
    pthread_mutex_lock(&pipeline->commit_lock);
    pthread_cond_signal(&pipeline->committed);
    pthread_mutex_unlock(&pipeline->commit_lock);
    if (pipeline->decode_started)
        pthread_join(pipeline->decode_thread, NULL);
    if (pipeline->encode_started)
        pthread_join(pipeline->encode_thread, NULL);
    pipeline->decode_started = pipeline->encode_started = false;
    resr_segment_encoders_stop(pipeline->encoders);
    pthread_mutex_lock(&pipeline->lock);
    pipeline->parts.sink = NULL; /* its owner may close it now */
    pthread_mutex_unlock(&pipeline->lock);
    resr_queue_destroy(pipeline->decoded, free_frame);
    resr_queue_destroy(pipeline->encode, free_frame);
    resr_queue_destroy(pipeline->told, free_told);
    pipeline->decoded = pipeline->encode = pipeline->told = NULL;
}

void resr_io_threads_free(ResrIoThreads *pipeline)
{
    if (!pipeline)
        return;
    resr_io_threads_stop(pipeline);
    resr_segment_encoders_free(pipeline->encoders);
    sem_destroy(&pipeline->credits);
    pthread_cond_destroy(&pipeline->committed);
    pthread_mutex_destroy(&pipeline->commit_lock);
    pthread_mutex_destroy(&pipeline->lock);
    free(pipeline);
}
